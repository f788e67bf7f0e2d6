{# Stand-ins for dbt_utils, written from its documentation: the names and arguments that dbt must accept. #}
{% test expression_is_true(model, expression, column_name=none) %}
select * from {{ model }} where not ({{ column_name or '' }} {{ expression }})
{% endtest %}
{% test accepted_range(model, column_name, min_value=none, max_value=none, inclusive=true) %}
select * from {{ model }} where {{ column_name }} is not null and not (true
{% if min_value is not none %} and {{ column_name }} >{{ '=' if inclusive else '' }} {{ min_value }}{% endif %}
{% if max_value is not none %} and {{ column_name }} <{{ '=' if inclusive else '' }} {{ max_value }}{% endif %})
{% endtest %}
{% test unique_combination_of_columns(model, combination_of_columns, quote_columns=false) %}
select {{ combination_of_columns | join(', ') }} from {{ model }} group by {{ combination_of_columns | join(', ') }} having count(*) > 1
{% endtest %}
{% test not_null_proportion(model, column_name, at_least, at_most=1.0, group_by_columns=[]) %}
select p from (select avg(case when {{ column_name }} is null then 0.0 else 1.0 end) as p from {{ model }}) where p < {{ at_least }} or p > {{ at_most }}
{% endtest %}
{% test recency(model, field, datepart, interval, ignore_time_component=false, group_by_columns=[]) %}
select m from (select max({{ field }}) as m from {{ model }}) where m < now()::timestamp - interval {{ interval }} {{ datepart }}
{% endtest %}
{% test not_constant(model, column_name, group_by_columns=[]) %}
select count(distinct {{ column_name }}) as n from {{ model }} having count(distinct {{ column_name }}) = 1
{% endtest %}
{% test not_empty_string(model, column_name, trim_whitespace=true) %}
select * from {{ model }} where {{ 'trim(' ~ column_name ~ ')' if trim_whitespace else column_name }} = ''
{% endtest %}
{% test at_least_one(model, column_name, group_by_columns=[]) %}
select count({{ column_name }}) as n from {{ model }} having count({{ column_name }}) = 0
{% endtest %}
{% test not_accepted_values(model, column_name, values, quote=true) %}
select * from {{ model }} where {{ column_name }} in ({% for v in values %}{{ "'" ~ v ~ "'" if quote else v }}{{ ', ' if not loop.last }}{% endfor %})
{% endtest %}
{% test cardinality_equality(model, column_name, field, to) %}
(select {{ column_name }}, count(*) from {{ model }} group by 1) except (select {{ field }}, count(*) from {{ to }} group by 1)
{% endtest %}
{% test equal_rowcount(model, compare_model, group_by_columns=[]) %}
select 1 where (select count(*) from {{ model }}) <> (select count(*) from {{ compare_model }})
{% endtest %}
{% test fewer_rows_than(model, compare_model, group_by_columns=[]) %}
select 1 where (select count(*) from {{ model }}) >= (select count(*) from {{ compare_model }})
{% endtest %}
{% test relationships_where(model, column_name, to, field, from_condition="1=1", to_condition="1=1") %}
select {{ column_name }} from {{ model }} where {{ column_name }} is not null and {{ from_condition }} and {{ column_name }} not in (select {{ field }} from {{ to }} where {{ to_condition }})
{% endtest %}
{% test sequential_values(model, column_name, interval=1, datepart=none, group_by_columns=[]) %}
select * from (select {{ column_name }} as v, lag({{ column_name }}) over (order by {{ column_name }}) as p from {{ model }}) where p is not null and v <> p + {{ interval }}
{% endtest %}
