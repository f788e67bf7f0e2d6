//! Reports: text, tables and figures, rendered to terminal, JSON, Markdown and HTML.
