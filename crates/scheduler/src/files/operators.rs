//! The operators that run here: Airflow's class paths for each, old and new, its arguments, and which of them are templates.

use crate::dag::OperatorKind;

/// What an argument takes. A text is taken everywhere where templates are: it may become anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    Anything,
    Text,
    Texts,
    Boolean,
    Whole,
    Seconds,
    TimeOfDay,
    List,
    Map,
}

impl Takes {
    pub(crate) fn words(self) -> &'static str {
        match self {
            Takes::Anything => "a value",
            Takes::Text => "a text",
            Takes::Texts => "a text or a list of texts",
            Takes::Boolean => "true or false",
            Takes::Whole => "a whole number",
            Takes::Seconds => "seconds, or a datetime.timedelta",
            Takes::TimeOfDay => "a time of day: {__type__: datetime.time, hour: 6}",
            Takes::List => "a list",
            Takes::Map => "a map",
        }
    }
}

/// One operator.
#[derive(Debug)]
pub(crate) struct Spec {
    pub kind: OperatorKind,
    /// The path of Airflow 3 first.
    pub classes: &'static [&'static str],
    pub arguments: &'static [Argument],
    /// Ends of file names: a template that ends so is read from the DAG folder.
    pub template_ext: &'static [&'static str],
    pub calls_python: bool,
}

#[derive(Debug)]
pub(crate) struct Argument {
    pub name: &'static str,
    pub takes: Takes,
    pub is_required: bool,
    pub is_template: bool,
}

impl Spec {
    pub(crate) fn argument(&self, name: &str) -> Option<&'static Argument> {
        let sensor = if self.kind.is_sensor() { SENSOR } else { &[] };
        self.arguments.iter().chain(sensor).find(|argument| argument.name == name)
    }

    pub(crate) fn arguments(&self) -> impl Iterator<Item = &'static Argument> {
        self.arguments.iter().chain(if self.kind.is_sensor() { SENSOR } else { &[] })
    }
}

pub(crate) fn by_class(class: &str) -> Option<&'static Spec> {
    SPECS.iter().find(|spec| spec.classes.contains(&class))
}

pub(crate) fn by_kind(kind: OperatorKind) -> &'static Spec {
    SPECS.iter().find(|spec| spec.kind == kind).expect("a test looks each kind up")
}

pub(crate) fn specs() -> &'static [Spec] {
    SPECS
}

const fn plain(name: &'static str, takes: Takes) -> Argument {
    Argument { name, takes, is_required: false, is_template: false }
}

const fn template(name: &'static str, takes: Takes) -> Argument {
    Argument { name, takes, is_required: false, is_template: true }
}

const fn required(argument: Argument) -> Argument {
    Argument { is_required: true, ..argument }
}

/// Arguments of every sensor.
const SENSOR: &[Argument] = &[
    plain("poke_interval", Takes::Seconds),
    plain("timeout", Takes::Seconds),
    plain("soft_fail", Takes::Boolean),
    plain("mode", Takes::Text),
    plain("exponential_backoff", Takes::Boolean),
    plain("max_wait", Takes::Seconds),
    plain("silent_fail", Takes::Boolean),
    plain("never_fail", Takes::Boolean),
];

const PYTHON: &[Argument] = &[
    template("op_args", Takes::List),
    template("op_kwargs", Takes::Map),
    template("templates_dict", Takes::Map),
    plain("templates_exts", Takes::List),
    plain("show_return_value_in_logs", Takes::Boolean),
];

/// Deferring needs no triggerer here: a waiting sensor holds no process.
const DEFERRABLE: Argument = plain("deferrable", Takes::Boolean);

const SPECS: &[Spec] = &[
    Spec {
        kind: OperatorKind::Bash,
        classes: &[
            "airflow.providers.standard.operators.bash.BashOperator",
            "airflow.operators.bash.BashOperator",
            "airflow.operators.bash_operator.BashOperator",
        ],
        arguments: &[
            required(template("bash_command", Takes::Text)),
            template("env", Takes::Map),
            template("cwd", Takes::Text),
            plain("append_env", Takes::Boolean),
            plain("output_encoding", Takes::Text),
            plain("skip_on_exit_code", Takes::Anything),
        ],
        template_ext: &[".sh", ".bash"],
        calls_python: false,
    },
    Spec {
        kind: OperatorKind::Python,
        classes: &[
            "airflow.providers.standard.operators.python.PythonOperator",
            "airflow.operators.python.PythonOperator",
            "airflow.operators.python_operator.PythonOperator",
        ],
        arguments: PYTHON,
        template_ext: &[],
        calls_python: true,
    },
    Spec {
        kind: OperatorKind::Empty,
        classes: &[
            "airflow.providers.standard.operators.empty.EmptyOperator",
            "airflow.operators.empty.EmptyOperator",
            "airflow.operators.dummy.DummyOperator",
            "airflow.operators.dummy_operator.DummyOperator",
        ],
        arguments: &[],
        template_ext: &[],
        calls_python: false,
    },
    Spec {
        kind: OperatorKind::BranchPython,
        classes: &[
            "airflow.providers.standard.operators.python.BranchPythonOperator",
            "airflow.operators.python.BranchPythonOperator",
            "airflow.operators.python_operator.BranchPythonOperator",
        ],
        arguments: PYTHON,
        template_ext: &[],
        calls_python: true,
    },
    Spec {
        kind: OperatorKind::ShortCircuit,
        classes: &[
            "airflow.providers.standard.operators.python.ShortCircuitOperator",
            "airflow.operators.python.ShortCircuitOperator",
            "airflow.operators.python_operator.ShortCircuitOperator",
        ],
        arguments: &[
            template("op_args", Takes::List),
            template("op_kwargs", Takes::Map),
            template("templates_dict", Takes::Map),
            plain("templates_exts", Takes::List),
            plain("show_return_value_in_logs", Takes::Boolean),
            plain("ignore_downstream_trigger_rules", Takes::Boolean),
        ],
        template_ext: &[],
        calls_python: true,
    },
    Spec {
        kind: OperatorKind::TriggerDagRun,
        classes: &[
            "airflow.providers.standard.operators.trigger_dagrun.TriggerDagRunOperator",
            "airflow.operators.trigger_dagrun.TriggerDagRunOperator",
            "airflow.operators.dagrun_operator.TriggerDagRunOperator",
        ],
        arguments: &[
            required(template("trigger_dag_id", Takes::Text)),
            template("trigger_run_id", Takes::Text),
            template("logical_date", Takes::Anything),
            template("conf", Takes::Map),
            template("wait_for_completion", Takes::Boolean),
            template("skip_when_already_exists", Takes::Boolean),
            plain("run_after", Takes::Anything),
            plain("reset_dag_run", Takes::Boolean),
            plain("poke_interval", Takes::Seconds),
            plain("allowed_states", Takes::List),
            plain("failed_states", Takes::List),
            plain("fail_when_dag_is_paused", Takes::Boolean),
            plain("note", Takes::Text),
            plain("openlineage_inject_parent_info", Takes::Boolean),
            DEFERRABLE,
        ],
        template_ext: &[],
        calls_python: false,
    },
    Spec {
        kind: OperatorKind::FileSensor,
        classes: &[
            "airflow.providers.standard.sensors.filesystem.FileSensor",
            "airflow.sensors.filesystem.FileSensor",
        ],
        arguments: &[
            required(template("filepath", Takes::Text)),
            template("fs_conn_id", Takes::Text),
            plain("recursive", Takes::Boolean),
            plain("start_from_trigger", Takes::Boolean),
            plain("trigger_kwargs", Takes::Map),
            DEFERRABLE,
        ],
        template_ext: &[],
        calls_python: false,
    },
    Spec {
        kind: OperatorKind::TimeSensor,
        classes: &[
            "airflow.providers.standard.sensors.time.TimeSensor",
            "airflow.sensors.time_sensor.TimeSensor",
        ],
        arguments: &[
            required(plain("target_time", Takes::TimeOfDay)),
            plain("start_from_trigger", Takes::Boolean),
            plain("end_from_trigger", Takes::Boolean),
            plain("trigger_kwargs", Takes::Map),
            DEFERRABLE,
        ],
        template_ext: &[],
        calls_python: false,
    },
    Spec {
        kind: OperatorKind::TimeDeltaSensor,
        classes: &[
            "airflow.providers.standard.sensors.time_delta.TimeDeltaSensor",
            "airflow.sensors.time_delta.TimeDeltaSensor",
        ],
        arguments: &[
            required(template("delta", Takes::Anything)),
            plain("end_from_trigger", Takes::Boolean),
            DEFERRABLE,
        ],
        template_ext: &[],
        calls_python: false,
    },
    Spec {
        kind: OperatorKind::DateTimeSensor,
        classes: &[
            "airflow.providers.standard.sensors.date_time.DateTimeSensor",
            "airflow.sensors.date_time.DateTimeSensor",
        ],
        arguments: &[required(template("target_time", Takes::Anything))],
        template_ext: &[],
        calls_python: false,
    },
    Spec {
        kind: OperatorKind::ExternalTaskSensor,
        classes: &[
            "airflow.providers.standard.sensors.external_task.ExternalTaskSensor",
            "airflow.sensors.external_task.ExternalTaskSensor",
            "airflow.sensors.external_task_sensor.ExternalTaskSensor",
        ],
        arguments: &[
            required(template("external_dag_id", Takes::Text)),
            template("external_task_id", Takes::Text),
            template("external_task_ids", Takes::List),
            template("external_task_group_id", Takes::Text),
            plain("allowed_states", Takes::List),
            plain("skipped_states", Takes::List),
            plain("failed_states", Takes::List),
            plain("execution_delta", Takes::Text),
            plain("check_existence", Takes::Boolean),
            plain("poll_interval", Takes::Seconds),
            DEFERRABLE,
        ],
        template_ext: &[],
        calls_python: false,
    },
    Spec {
        kind: OperatorKind::PythonSensor,
        classes: &[
            "airflow.providers.standard.sensors.python.PythonSensor",
            "airflow.sensors.python.PythonSensor",
        ],
        arguments: &[
            template("op_args", Takes::List),
            template("op_kwargs", Takes::Map),
            template("templates_dict", Takes::Map),
        ],
        template_ext: &[],
        calls_python: true,
    },
    Spec {
        kind: OperatorKind::BashSensor,
        classes: &["airflow.providers.standard.sensors.bash.BashSensor", "airflow.sensors.bash.BashSensor"],
        arguments: &[
            required(template("bash_command", Takes::Text)),
            template("env", Takes::Map),
            plain("output_encoding", Takes::Text),
            plain("retry_exit_code", Takes::Whole),
        ],
        template_ext: &[],
        calls_python: false,
    },
    Spec {
        kind: OperatorKind::HttpSensor,
        classes: &[
            "airflow.providers.http.sensors.http.HttpSensor",
            "airflow.sensors.http_sensor.HttpSensor",
        ],
        arguments: &[
            required(template("endpoint", Takes::Text)),
            template("request_params", Takes::Map),
            template("headers", Takes::Map),
            plain("http_conn_id", Takes::Text),
            plain("method", Takes::Text),
            plain("response_error_codes_allowlist", Takes::List),
            plain("extra_options", Takes::Map),
            DEFERRABLE,
        ],
        template_ext: &[],
        calls_python: false,
    },
    Spec {
        kind: OperatorKind::S3KeySensor,
        classes: &[
            "airflow.providers.amazon.aws.sensors.s3.S3KeySensor",
            "airflow.providers.amazon.aws.sensors.s3_key.S3KeySensor",
            "airflow.sensors.s3_key_sensor.S3KeySensor",
        ],
        arguments: &[
            required(template("bucket_key", Takes::Texts)),
            template("bucket_name", Takes::Text),
            plain("wildcard_match", Takes::Boolean),
            plain("use_regex", Takes::Boolean),
            plain("aws_conn_id", Takes::Text),
            plain("region_name", Takes::Text),
            plain("verify", Takes::Anything),
            DEFERRABLE,
        ],
        template_ext: &[],
        calls_python: false,
    },
    Spec {
        kind: OperatorKind::Http,
        classes: &[
            "airflow.providers.http.operators.http.HttpOperator",
            "airflow.providers.http.operators.http.SimpleHttpOperator",
            "airflow.operators.http_operator.SimpleHttpOperator",
        ],
        arguments: &[
            template("endpoint", Takes::Text),
            template("data", Takes::Anything),
            template("headers", Takes::Map),
            plain("method", Takes::Text),
            plain("http_conn_id", Takes::Text),
            plain("log_response", Takes::Boolean),
            plain("extra_options", Takes::Map),
            plain("request_kwargs", Takes::Map),
            DEFERRABLE,
        ],
        template_ext: &[],
        calls_python: false,
    },
    Spec {
        kind: OperatorKind::Sql,
        classes: &[
            "airflow.providers.common.sql.operators.sql.SQLExecuteQueryOperator",
            "airflow.providers.postgres.operators.postgres.PostgresOperator",
            "airflow.operators.postgres_operator.PostgresOperator",
        ],
        arguments: &[
            required(template("sql", Takes::Texts)),
            template("parameters", Takes::Anything),
            template("conn_id", Takes::Text),
            template("database", Takes::Text),
            template("hook_params", Takes::Map),
            plain("postgres_conn_id", Takes::Text),
            plain("autocommit", Takes::Boolean),
            plain("split_statements", Takes::Boolean),
            plain("return_last", Takes::Boolean),
            plain("show_return_value_in_logs", Takes::Boolean),
            plain("requires_result_fetch", Takes::Boolean),
            plain("retry_on_failure", Takes::Boolean),
        ],
        template_ext: &[".sql", ".json"],
        calls_python: false,
    },
    Spec {
        kind: OperatorKind::Email,
        classes: &[
            "airflow.providers.smtp.operators.smtp.EmailOperator",
            "airflow.operators.email.EmailOperator",
            "airflow.operators.email_operator.EmailOperator",
        ],
        arguments: &[
            required(template("to", Takes::Texts)),
            template("subject", Takes::Text),
            template("html_content", Takes::Text),
            template("from_email", Takes::Text),
            template("files", Takes::List),
            template("cc", Takes::Texts),
            template("bcc", Takes::Texts),
            template("mime_subtype", Takes::Text),
            template("mime_charset", Takes::Text),
            template("conn_id", Takes::Text),
            template("custom_headers", Takes::Map),
        ],
        template_ext: &[".html"],
        calls_python: false,
    },
];
