//! The keys of a DAG file: which there are, which say nothing here, and which ask for what does not run here.

/// Keys of a DAG.
pub(crate) const DAG: &[&str] = &[
    "dag_display_name",
    "description",
    "schedule",
    "start_date",
    "end_date",
    "timezone",
    "catchup",
    "max_active_runs",
    "max_active_tasks",
    "concurrency",
    "dagrun_timeout",
    "default_args",
    "params",
    "tags",
    "doc_md",
    "doc_md_file_path",
    "is_paused_upon_creation",
    "render_template_as_native_obj",
    "template_searchpath",
    "user_defined_macros",
    "tasks",
    "task_groups",
    // They say nothing to Airflow 3, or nothing here.
    "default_view",
    "orientation",
    "access_control",
    "sla_miss_callback",
];

/// Keys of a DAG that ask for Python at parse time or for what is not there, and what to do instead.
pub(crate) const DAG_UNSUPPORTED: &[(&str, &str)] = &[
    ("timetable", "write a cron expression or a timedelta as `schedule`"),
    ("doc_md_python_callable_file", "write the text as `doc_md`"),
    ("doc_md_python_callable_name", "write the text as `doc_md`"),
    ("doc_md_python_arguments", "write the text as `doc_md`"),
];

/// Keys of every task and of `default_args`.
pub(crate) const TASK: &[&str] = &[
    "owner",
    "email",
    "email_on_retry",
    "email_on_failure",
    "retries",
    "retry_delay",
    "retry_exponential_backoff",
    "max_retry_delay",
    "start_date",
    "end_date",
    "depends_on_past",
    "ignore_first_depends_on_past",
    "wait_for_past_depends_before_skipping",
    "wait_for_downstream",
    "params",
    "default_args",
    "priority_weight",
    "weight_rule",
    "queue",
    "pool",
    "pool_slots",
    "execution_timeout",
    "trigger_rule",
    "map_index_template",
    "max_active_tis_per_dag",
    "max_active_tis_per_dagrun",
    "do_xcom_push",
    "multiple_outputs",
    "render_template_as_native_obj",
    "task_display_name",
    "doc_md",
    // They describe a task, or ask for what only other executors have: nothing follows from them here.
    "doc",
    "doc_json",
    "doc_rst",
    "doc_yaml",
    "executor_config",
    "resources",
    "inlets",
    "outlets",
    "sla",
    "logger_name",
    "allow_nested_operators",
];

/// Keys that dag-factory takes from a task before Airflow sees it.
pub(crate) const TASK_FACTORY: &[&str] = &[
    "operator",
    "decorator",
    "dependencies",
    "task_group_name",
    "expand",
    "partial",
    "python_callable",
    "python_callable_name",
    "python_callable_file",
];

pub(crate) const TASK_UNSUPPORTED: &[(&str, &str)] = &[
    ("retry_policy", "set retries, retry_delay and retry_exponential_backoff"),
    ("pre_execute", "put it into a task of its own"),
    ("post_execute", "put it into a task of its own"),
    ("run_as_user", "start the scheduler as that user"),
    ("executor", "remove it: tasks run as local processes"),
    ("variables_as_arguments", "use a template: {{ var.value.NAME }}"),
    ("execution_date_fn", "use execution_delta"),
    ("execution_date_fn_name", "use execution_delta"),
    ("execution_date_fn_file", "use execution_delta"),
    ("output_processor", "process the output in a task that follows"),
    ("response_check", "check the response in a task that follows"),
    ("response_check_name", "check the response in a task that follows"),
    ("response_check_file", "check the response in a task that follows"),
    ("response_check_lambda", "check the response in a task that follows"),
    ("response_filter", "filter the response in a task that follows"),
    ("pagination_function", "write one task for each page, or expand over pages"),
    ("check_fn", "check the objects in a task that follows"),
    ("handler", "read the rows in a task that follows"),
];

/// Keys of `default_args` that dag-factory reads itself.
pub(crate) const DEFAULT_ARGS_FACTORY: &[&str] = &["timezone"];

pub(crate) const GROUP: &[&str] = &[
    "tooltip",
    "default_args",
    "dependencies",
    "parent_group_name",
    "prefix_group_id",
    "group_display_name",
    "doc_md",
    "ui_color",
    "ui_fgcolor",
];

/// Callbacks of DAGs, tasks and groups, with the endings that dag-factory adds.
pub(crate) fn is_callback(key: &str) -> bool {
    let bare = key.strip_suffix("_name").or_else(|| key.strip_suffix("_file")).unwrap_or(key);
    matches!(
        bare,
        "on_execute_callback"
            | "on_success_callback"
            | "on_failure_callback"
            | "on_retry_callback"
            | "on_skipped_callback"
    )
}

pub(crate) const CALLBACK_INSTEAD: &str =
    "add a task with a trigger_rule: one_failed runs when something failed, all_success when nothing did";
