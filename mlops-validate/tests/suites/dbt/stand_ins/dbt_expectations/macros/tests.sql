{# Stand-ins for dbt_expectations, written from its documentation: the names and arguments that dbt must accept. #}
{% test expect_column_values_to_be_between(model, column_name, min_value=none, max_value=none, row_condition=none, strictly=false, group_by=none) %}
select * from {{ model }} where {{ row_condition or 'true' }} and not (true
{% if min_value is not none %} and {{ column_name }} >{{ '' if strictly else '=' }} {{ min_value }}{% endif %}
{% if max_value is not none %} and {{ column_name }} <{{ '' if strictly else '=' }} {{ max_value }}{% endif %})
{% endtest %}
{% test expect_column_values_to_be_in_set(model, column_name, value_set, quote_values=true, row_condition=none) %}
select * from {{ model }} where {{ column_name }} not in ({% for v in value_set %}{{ "'" ~ v ~ "'" if quote_values else v }}{{ ', ' if not loop.last }}{% endfor %}) and {{ row_condition or 'true' }}
{% endtest %}
{% test expect_column_values_to_match_regex(model, column_name, regex, row_condition=none, is_raw=false, flags="") %}
select * from {{ model }} where not regexp_matches({{ column_name }}, '{{ regex }}') and {{ row_condition or 'true' }}
{% endtest %}
{% test expect_column_value_lengths_to_be_between(model, column_name, min_value=none, max_value=none, row_condition=none, strictly=false) %}
select * from {{ model }} where not (length({{ column_name }}) between {{ min_value or 0 }} and {{ max_value or 1000000 }}) and {{ row_condition or 'true' }}
{% endtest %}
{% test expect_table_row_count_to_be_between(model, min_value=none, max_value=none, group_by=none, row_condition=none, strictly=false) %}
select count(*) as n from {{ model }} having not (count(*) between {{ min_value or 0 }} and {{ max_value or 1000000 }})
{% endtest %}
{% test expect_column_to_exist(model, column_name, column_index=none, transform="upper") %}
select 1 where false
{% endtest %}
{% test expect_column_mean_to_be_between(model, column_name, min_value=none, max_value=none, group_by=none, row_condition=none, strictly=false) %}
select avg({{ column_name }}) as m from {{ model }} having not (avg({{ column_name }}) between {{ min_value }} and {{ max_value }})
{% endtest %}
{% test expect_column_values_to_be_unique(model, column_name, row_condition=none) %}
select {{ column_name }} from {{ model }} where {{ column_name }} is not null group by 1 having count(*) > 1
{% endtest %}
{% test expect_column_values_to_not_be_null(model, column_name, row_condition=none) %}
select * from {{ model }} where {{ column_name }} is null and {{ row_condition or 'true' }}
{% endtest %}
{% test expect_column_pair_values_A_to_be_greater_than_B(model, column_A, column_B, or_equal=false, row_condition=none) %}
select * from {{ model }} where not ({{ column_A }} >{{ '=' if or_equal else '' }} {{ column_B }}) and {{ row_condition or 'true' }}
{% endtest %}
{% test expect_compound_columns_to_be_unique(model, column_list, quote_columns=false, ignore_row_if="all_values_are_missing", row_condition=none) %}
select {{ column_list | join(', ') }} from {{ model }} group by {{ column_list | join(', ') }} having count(*) > 1
{% endtest %}
{% test expect_row_values_to_have_recent_data(model, column_name, datepart, interval, row_condition=none) %}
select max({{ column_name }}) as m from {{ model }} having max({{ column_name }}) < now()::timestamp - interval {{ interval }} {{ datepart }}
{% endtest %}
