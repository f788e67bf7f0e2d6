"""Asks the published grammar of DQDL (awslabs/dqdl, ANTLR) which rulesets of dqdl/ it accepts.

    antlr4 -Dlanguage=Python3 -no-listener DataQualityDefinitionLanguage.g4   # in the grammar's folder
    python make_dqdl.py PARSER_FOLDER

Needs antlr4-python3-runtime of the tool's version. Writes dqdl/expected.json: of each file whether
the grammar accepts it, and of each rule its parts. There are no verdicts: the service that judges
by DQDL does not run on its own.
"""

import json
import pathlib
import sys
from importlib.metadata import version

sys.path.insert(0, sys.argv[1])
from antlr4 import CommonTokenStream, InputStream
from antlr4.error.ErrorListener import ErrorListener
from DataQualityDefinitionLanguageLexer import DataQualityDefinitionLanguageLexer as Lexer
from DataQualityDefinitionLanguageParser import DataQualityDefinitionLanguageParser as Parser

HERE = pathlib.Path(__file__).parent / "dqdl"


class Complaints(ErrorListener):
    def __init__(self):
        self.found = []

    def syntaxError(self, recognizer, symbol, line, column, message, error):
        self.found.append({"line": line, "column": column, "message": message})


def text(node):
    if node is None:
        return None
    return node.start.getInputStream().getText(node.start.start, node.stop.stop)


def shape(rule):
    inner = rule.topLevelRule()
    if rule.dqRule():
        r = rule.dqRule()
        return {
            "line": r.start.line,
            "type": text(r.ruleType()),
            "parameters": [text(p.parameter()).strip('"') for p in r.parameterWithConnectorWord()],
            "condition": text(r.condition()),
            "where": text(r.whereClause().quotedString())[1:-1] if r.whereClause() else None,
            "with": [text(t) for t in r.tagWithCondition()],
        }
    if len(inner) == 1:
        return shape(inner[0])
    return {"and" if rule.AND() else "or": [shape(i) for i in inner]}


def read(file):
    complaints = Complaints()
    lexer = Lexer(InputStream(file.read_text()))
    lexer.removeErrorListeners()
    lexer.addErrorListener(complaints)
    tokens = CommonTokenStream(lexer)
    parser = Parser(tokens)
    parser.removeErrorListeners()
    parser.addErrorListener(complaints)
    tree = parser.document()
    left = tokens.LT(1)
    if left.type != -1 and not complaints.found:
        complaints.found.append({"line": left.line, "column": left.column, "message": f"input goes on at {left.text!r}"})
    out = {"file": file.relative_to(HERE).as_posix(), "accepted": not complaints.found}
    if complaints.found:
        out["complaint"] = complaints.found[0]
        return out
    body = tree.rulesOrAnalyzers()
    rules = body.rules().dqRules() if body.rules() else None
    analyzers = body.analyzers().dqAnalyzers() if body.analyzers() else None
    out["rules"] = [shape(r) for r in rules.topLevelRule()] if rules else []
    out["analyzers"] = [text(a) for a in analyzers.dqAnalyzer()] if analyzers else []
    return out


files = [read(f) for f in sorted(HERE.rglob("*.dqdl"))]
report = {"versions": {"antlr4-python3-runtime": version("antlr4-python3-runtime")}, "grammar": "awslabs/dqdl, DataQualityDefinitionLanguage.g4 with size expressions", "files": files}
lines = json.dumps(report, indent=1, ensure_ascii=False)
(HERE / "expected.json").write_text(lines + "\n")
for f in files:
    print(f["file"], f["accepted"], len(f.get("rules", [])), len(f.get("analyzers", [])), f.get("complaint", ""))
