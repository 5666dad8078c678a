//! One task of a DAG file: its own keys, over `default_args` of its group and its DAG, over Airflow's defaults.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use indexmap::{IndexMap, IndexSet};

use super::{
    Error, dates, keys,
    operators::{self, Argument, Spec, Takes},
    section::{Section, arg, nearest},
    yaml::{Data, Map, Node, Place},
};
use crate::dag::{
    Arg, Callable, DEFAULT_OWNER, DEFAULT_POOL, DEFAULT_QUEUE, Mapping, Operator, OperatorKind, Param,
    RETRY_DELAY_DEFAULT, RETURN_KEY, Retry, Task, TriggerRule, WeightRule,
};

/// The class paths of `@task`.
const DECORATORS: [&str; 3] =
    ["airflow.sdk.task", "airflow.sdk.definitions.decorators.task", "airflow.decorators.task"];

/// What a task takes from its DAG.
pub(crate) struct Surroundings<'a> {
    pub dag_params: &'a IndexMap<String, Param>,
    pub start_date: Option<DateTime<Utc>>,
    pub end_date: Option<DateTime<Utc>>,
    /// `default_args` of the group, then of its parents.
    pub group_default_args: Vec<&'a Map>,
    pub default_args: Option<&'a Map>,
    /// The dates of `default_args`, which are read as the DAG's are.
    pub default_start_date: Option<DateTime<Utc>>,
    pub default_end_date: Option<DateTime<Utc>>,
    /// Tasks that were made before it, by full id.
    pub made: &'a IndexMap<String, Task>,
    /// The first part of `name.output`, as it stands in the file, and the full id it means.
    pub ids: &'a IndexMap<String, String>,
}

/// A task as it stands in the file.
pub(crate) struct Written<'a> {
    pub label: &'a str,
    pub task_id: String,
    pub group: Option<String>,
    pub place: &'a Place,
    pub map: &'a Map,
}

/// The task, with the tasks whose output it takes among its upstream.
pub(crate) fn build(written: &Written<'_>, around: &Surroundings<'_>) -> Result<Task, Error> {
    let mut section = Section::new(format!("the task {}", written.label), written.place, written.map);
    let partial = section.map("partial")?;
    section.maps.extend(partial);
    let own_default_args = section.map("default_args")?;
    section.maps.extend(own_default_args);
    section.maps.extend(around.group_default_args.iter().copied());
    let nearer = section.clone();
    section.maps.extend(around.default_args);
    let making = Making { section: &section, nearer: &nearer, written, around, partial };
    let (spec, class, is_decorated) = making.operator()?;
    making.refuse_unknown(spec, is_decorated)?;
    let mapping = making.mapping(spec, is_decorated)?;
    let operator = Operator {
        kind: spec.kind,
        class,
        args: making.arguments(spec, is_decorated, mapping.as_ref())?,
        callable: if spec.calls_python { Some(making.callable()?) } else { None },
    };
    let mut task = making.common(operator, mapping)?;
    for upstream in making.outputs(&task) {
        task.upstream.insert(upstream);
    }
    Ok(task)
}

struct Making<'a> {
    section: &'a Section<'a>,
    /// Without the DAG's `default_args`.
    nearer: &'a Section<'a>,
    written: &'a Written<'a>,
    around: &'a Surroundings<'a>,
    partial: Option<&'a Map>,
}

impl Making<'_> {
    fn operator(&self) -> Result<(&'static Spec, String, bool), Error> {
        if let Some(node) = self.section.own("operator") {
            let class =
                node.as_str().ok_or_else(|| self.section.value_error("operator", node, "a class path"))?;
            return match operators::by_class(class) {
                Some(spec) => Ok((spec, class.to_owned(), false)),
                None => Err(unknown_operator(class, &node.place)),
            };
        }
        let Some(node) = self.section.own("decorator") else {
            return Err(self.section.missing("operator", ""));
        };
        match node.as_str() {
            Some(class) if DECORATORS.contains(&class) => {
                Ok((operators::by_kind(OperatorKind::Python), class.to_owned(), true))
            }
            Some(class) => Err(self.section.unsupported(
                &node.place,
                &format!("the decorator {class}"),
                &format!("use {}, or an operator", DECORATORS[0]),
            )),
            None => Err(self.section.value_error("decorator", node, "a class path")),
        }
    }

    /// A decorated task takes its function's own arguments as keys: nothing is unknown there.
    fn refuse_unknown(&self, spec: &Spec, is_decorated: bool) -> Result<(), Error> {
        let arguments = || spec.arguments().map(|argument| argument.name);
        let known = || keys::TASK.iter().chain(keys::TASK_FACTORY).copied().chain(arguments());
        let own = self.written.map.iter().filter(|(key, _)| *key != "task_id");
        let partial = self.partial.into_iter().flatten();
        for (key, (place, _)) in own.chain(partial) {
            refuse_unsupported(self.section, key, place, keys::TASK_UNSUPPORTED)?;
            if !is_decorated && !known().any(|name| name == key) {
                return Err(Error::UnknownKey {
                    place: place.clone(),
                    what: format!("{} ({})", self.section.what, spec.kind.word()),
                    key: key.clone(),
                    nearest: nearest(key, known()),
                });
            }
        }
        for (key, (place, _)) in self.partial.into_iter().flatten() {
            if self.written.map.contains_key(key) {
                return Err(Error::Duplicate { place: place.clone(), what: "argument", name: key.clone() });
            }
        }
        match self.section.own("task_id") {
            Some(node) if node.as_str() != Some(self.written.label) => Err(self.section.value_error(
                "task_id",
                node,
                &format!("{}, as it is named", self.written.label),
            )),
            Some(_) | None => Ok(()),
        }
    }

    fn arguments(
        &self,
        spec: &Spec,
        is_decorated: bool,
        mapping: Option<&Mapping>,
    ) -> Result<IndexMap<String, Arg>, Error> {
        if is_decorated {
            return self.function_arguments();
        }
        let mut args = IndexMap::new();
        for (key, (_, node)) in self.section.maps.iter().copied().flatten() {
            let Some(argument) = spec.argument(key).filter(|_| !args.contains_key(key)) else { continue };
            if node.is_null() || mapping.is_some_and(|mapping| mapping.expand.contains_key(key)) {
                continue;
            }
            args.insert(key.clone(), self.argument(argument, node)?);
        }
        let has = |name: &str| {
            args.contains_key(name) || mapping.is_some_and(|mapping| mapping.expand.contains_key(name))
        };
        match spec.arguments().find(|argument| argument.is_required && !has(argument.name)) {
            Some(missing) => Err(self.section.missing(missing.name, "")),
            None => Ok(args),
        }
    }

    fn argument(&self, argument: &Argument, node: &Node) -> Result<Arg, Error> {
        if argument.name == "execution_delta" {
            let delta = node.as_str().and_then(dates::relative);
            return delta.map(Arg::Duration).ok_or_else(|| {
                self.section.value_error(argument.name, node, "a number and a unit: 1 hours")
            });
        }
        if argument.name == "mode" && !matches!(node.as_str(), Some("poke" | "reschedule")) {
            return Err(self.section.value_error(argument.name, node, "poke or reschedule"));
        }
        if fits(argument, node) {
            return Ok(arg(node));
        }
        Err(self.section.value_error(argument.name, node, argument.takes.words()))
    }

    /// Of a decorated task: the keys that are not the operator's own are its function's.
    fn function_arguments(&self) -> Result<IndexMap<String, Arg>, Error> {
        let mut args = IndexMap::new();
        let mut op_kwargs = IndexMap::new();
        let partial = self.partial.into_iter().flatten();
        for (key, (_, node)) in self.written.map.iter().chain(partial) {
            let is_ours = keys::TASK.contains(&key.as_str())
                || keys::TASK_FACTORY.contains(&key.as_str())
                || matches!(key.as_str(), "task_id");
            if is_ours {
                continue;
            }
            if matches!(key.as_str(), "templates_dict" | "show_return_value_in_logs") {
                args.insert(key.clone(), arg(node));
                continue;
            }
            op_kwargs.insert(key.clone(), self.output(key, node)?.unwrap_or_else(|| arg(node)));
        }
        if !op_kwargs.is_empty() {
            args.insert("op_kwargs".to_owned(), Arg::Map(op_kwargs));
        }
        Ok(args)
    }

    fn mapping(&self, spec: &Spec, is_decorated: bool) -> Result<Option<Mapping>, Error> {
        let Some(map) = self.section.map("expand")?.filter(|map| !map.is_empty()) else { return Ok(None) };
        let mut expand = IndexMap::with_capacity(map.len());
        for (key, (place, node)) in map {
            if !is_decorated && spec.argument(key).is_none() {
                return Err(Error::UnknownKey {
                    place: place.clone(),
                    what: format!("expand of {} ({})", self.section.what, spec.kind.word()),
                    key: key.clone(),
                    nearest: nearest(key, spec.arguments().map(|argument| argument.name)),
                });
            }
            if self.written.map.contains_key(key) || self.partial.is_some_and(|map| map.contains_key(key)) {
                return Err(Error::Duplicate { place: place.clone(), what: "argument", name: key.clone() });
            }
            let value = match (self.output(key, node)?, &node.data) {
                (Some(output), _) => output,
                (None, Data::List(_) | Data::Map(_)) => arg(node),
                (None, _) => {
                    let expected = "a list, a map, or the output of a task: extract.output";
                    return Err(self.section.value_error(key, node, expected));
                }
            };
            expand.insert(key.clone(), value);
        }
        Ok(Some(Mapping { expand, is_op_kwargs: is_decorated }))
    }

    /// `extract.output`, `XcomArg(extract)`, and in decorated tasks `+extract`, `+extract["rows"]`.
    fn output(&self, key: &str, node: &Node) -> Result<Option<Arg>, Error> {
        let Some(text) = node.as_str() else { return Ok(None) };
        let is_decorated = self.written.map.contains_key("decorator");
        let (name, output_key) = if let Some(rest) = text.strip_prefix('+').filter(|_| is_decorated) {
            match rest.strip_suffix(']').and_then(|rest| rest.split_once('[')) {
                Some((name, quoted)) => (name, quoted.trim_matches(['\'', '"'])),
                None => (rest, RETURN_KEY),
            }
        } else if is_decorated {
            return Ok(None);
        } else if let Some((name, _)) = text.split_once(".output") {
            (name, RETURN_KEY)
        } else if let Some((_, rest)) = text.split_once("XcomArg(") {
            (rest.split(')').next().unwrap_or(rest), RETURN_KEY)
        } else {
            return Ok(None);
        };
        let task_id = self.around.ids.get(name).map_or(name, String::as_str);
        if !self.around.made.contains_key(task_id) {
            let made = self.around.made.keys().map(String::as_str);
            return Err(Error::Dependency {
                place: node.place.clone(),
                what: format!("{key} of {}", self.section.what),
                name: name.to_owned(),
                nearest: nearest(name, made),
            });
        }
        Ok(Some(Arg::XCom { task_id: task_id.to_owned(), key: output_key.to_owned() }))
    }

    /// Full ids of the tasks whose output a task takes.
    fn outputs(&self, task: &Task) -> IndexSet<String> {
        let mut found = IndexSet::new();
        let mapped = task.mapping.iter().flat_map(|mapping| mapping.expand.values());
        for value in mapped.chain(task.operator.args.values()) {
            collect_outputs(value, &mut found);
        }
        found
    }

    fn callable(&self) -> Result<Callable, Error> {
        let section = self.section;
        let own = |key: &str| -> Result<Option<String>, Error> {
            match section.own(key) {
                Some(node) => node
                    .as_str()
                    .map(|text| Some(text.to_owned()))
                    .ok_or_else(|| section.value_error(key, node, "a text")),
                None => Ok(None),
            }
        };
        let (dotted, name, file) =
            (own("python_callable")?, own("python_callable_name")?, own("python_callable_file")?);
        match (dotted, name, file) {
            (Some(dotted), None, None) if dotted.contains('.') => Ok(Callable::Dotted(dotted)),
            (None, Some(name), Some(file)) => {
                let file = PathBuf::from(file);
                self.check_file("python_callable_file", &file)?;
                Ok(Callable::File { file, name })
            }
            (Some(_), None, None) => match section.own("python_callable") {
                Some(node) => Err(section.value_error("python_callable", node, "package.module.function")),
                None => Err(self.missing_callable()),
            },
            (_, _, _) => Err(self.missing_callable()),
        }
    }

    fn missing_callable(&self) -> Error {
        self.section.missing(
            "python_callable_name` and `python_callable_file",
            "; `python_callable` stands alone instead of both",
        )
    }

    fn check_file(&self, key: &str, file: &Path) -> Result<(), Error> {
        let Some(node) = self.section.own(key) else { return Ok(()) };
        if !file.is_absolute() {
            let expected = "an absolute path, such as $AIRFLOW__CORE__DAGS_FOLDER/tasks.py";
            return Err(self.section.value_error(key, node, expected));
        }
        if !file.is_file() {
            return Err(self.section.value_error(key, node, "a file that is there"));
        }
        Ok(())
    }

    fn common(&self, operator: Operator, mapping: Option<Mapping>) -> Result<Task, Error> {
        let section = self.section;
        let wait_for_downstream = section.boolean("wait_for_downstream")?.unwrap_or(false);
        let own_start = self.nearer.moment("start_date")?.or(self.around.default_start_date);
        let own_end = self.nearer.moment("end_date")?.or(self.around.default_end_date);
        Ok(Task {
            task_id: self.written.task_id.clone(),
            label: self.written.label.to_owned(),
            display_name: section.text("task_display_name")?.unwrap_or_else(|| self.written.task_id.clone()),
            group: self.written.group.clone(),
            operator,
            upstream: IndexSet::new(),
            downstream: IndexSet::new(),
            trigger_rule: self
                .word("trigger_rule", TriggerRule::ALL, TriggerRule::word)?
                .unwrap_or(TriggerRule::AllSuccess),
            retry: self.retry()?,
            execution_timeout: section.duration("execution_timeout")?,
            // Airflow does not draw this conclusion for mapped tasks.
            depends_on_past: (wait_for_downstream && mapping.is_none())
                || section.boolean("depends_on_past")?.unwrap_or(false),
            wait_for_downstream,
            ignore_first_depends_on_past: section.boolean("ignore_first_depends_on_past")?.unwrap_or(false),
            wait_for_past_depends_before_skipping: section
                .boolean("wait_for_past_depends_before_skipping")?
                .unwrap_or(false),
            pool: section.text("pool")?.unwrap_or_else(|| DEFAULT_POOL.to_owned()),
            pool_slots: section.count("pool_slots", 1)?.unwrap_or(1),
            priority_weight: section.whole("priority_weight", i64::MIN..=i64::MAX)?.map_or(1, clamped),
            weight_rule: self
                .word("weight_rule", WeightRule::ALL, WeightRule::word)?
                .unwrap_or(WeightRule::Downstream),
            queue: section.text("queue")?.unwrap_or_else(|| DEFAULT_QUEUE.to_owned()),
            owner: section.text("owner")?.unwrap_or_else(|| DEFAULT_OWNER.to_owned()),
            start_date: own_start.into_iter().chain(self.around.start_date).max(),
            end_date: own_end.into_iter().chain(self.around.end_date).min(),
            max_active_tis_per_dag: section.count("max_active_tis_per_dag", 1)?,
            max_active_tis_per_dagrun: section.count("max_active_tis_per_dagrun", 1)?,
            do_xcom_push: section.boolean("do_xcom_push")?.unwrap_or(true),
            multiple_outputs: section.boolean("multiple_outputs")?.unwrap_or(false),
            render_template_as_native_obj: section.boolean("render_template_as_native_obj")?,
            params: self.params()?,
            map_index_template: section.text("map_index_template")?,
            doc_md: section.text("doc_md")?,
            email: self.email()?,
            email_on_failure: section.boolean("email_on_failure")?.unwrap_or(true),
            email_on_retry: section.boolean("email_on_retry")?.unwrap_or(true),
            mapping,
        })
    }

    fn retry(&self) -> Result<Retry, Error> {
        let section = self.section;
        let exponential_backoff = match section.get("retry_exponential_backoff") {
            None => 0.0,
            Some(node) => match (node.as_bool(), node.as_f64()) {
                (Some(true), _) => 2.0,
                (Some(false), _) => 0.0,
                (None, Some(factor)) => factor,
                (None, None) => {
                    return Err(section.value_error(
                        "retry_exponential_backoff",
                        node,
                        "true, false or a factor",
                    ));
                }
            },
        };
        Ok(Retry {
            retries: section.count("retries", 0)?.unwrap_or(0),
            delay: section.seconds("retry_delay")?.unwrap_or(RETRY_DELAY_DEFAULT),
            exponential_backoff,
            delay_max: section.seconds("max_retry_delay")?,
        })
    }

    /// The DAG's, over them those of `default_args` of the group, over them the task's own.
    fn params(&self) -> Result<IndexMap<String, Param>, Error> {
        let mut params = self.around.dag_params.clone();
        for map in self.section.maps.iter().rev() {
            if let Some((_, node)) = map.get("params")
                && !node.is_null()
            {
                let map = node.as_map().ok_or_else(|| self.section.value_error("params", node, "a map"))?;
                params.extend(self.section.params(map));
            }
        }
        Ok(params)
    }

    fn email(&self) -> Result<Vec<String>, Error> {
        let Some(node) = self.section.get("email") else { return Ok(Vec::new()) };
        if let Some(text) = node.as_str() {
            let addresses = text.split([',', ';']).map(str::trim).filter(|address| !address.is_empty());
            return Ok(addresses.map(str::to_owned).collect());
        }
        Ok(self.section.texts("email")?.unwrap_or_default())
    }

    fn word<T: Copy>(&self, key: &str, all: &[T], word: fn(T) -> &'static str) -> Result<Option<T>, Error> {
        let Some(node) = self.section.get(key) else { return Ok(None) };
        let found = node.as_str().and_then(|text| all.iter().copied().find(|it| word(*it) == text));
        found.map(Some).ok_or_else(|| {
            let words: Vec<&str> = all.iter().copied().map(word).collect();
            let expected = match nearest(node.as_str().unwrap_or(""), words.iter().copied()) {
                Some(nearest) => format!("{nearest}, or another of {}", words.join(", ")),
                None => format!("one of {}", words.join(", ")),
            };
            self.section.value_error(key, node, &expected)
        })
    }
}

/// Airflow keeps a weight within 32 bits.
fn clamped(weight: i64) -> i32 {
    weight.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
}

fn collect_outputs(value: &Arg, found: &mut IndexSet<String>) {
    if let Arg::XCom { task_id, .. } = value {
        found.insert(task_id.clone());
    } else if let Arg::Map(entries) = value {
        entries.values().for_each(|value| collect_outputs(value, found));
    } else if let Arg::List(items) = value {
        items.iter().for_each(|value| collect_outputs(value, found));
    }
}

fn fits(argument: &Argument, node: &Node) -> bool {
    let is_text = node.as_str().is_some();
    if argument.is_template && is_text {
        return true;
    }
    match argument.takes {
        Takes::Anything => true,
        Takes::Text => is_text,
        Takes::Texts => is_text || matches!(node.data, Data::List(_)),
        Takes::Boolean => node.as_bool().is_some(),
        Takes::Whole => node.as_int().is_some(),
        Takes::Seconds => arg(node).as_duration().is_some(),
        Takes::TimeOfDay => matches!(node.data, Data::Time(_)),
        Takes::List => matches!(node.data, Data::List(_)),
        Takes::Map => matches!(node.data, Data::Map(_)),
    }
}

fn unknown_operator(class: &str, place: &Place) -> Error {
    let specs = operators::specs();
    let name = class.rsplit('.').next().unwrap_or(class);
    let known = specs.iter().flat_map(|spec| spec.classes.iter().copied());
    // The same class under another path, else a path that is nearly one of ours.
    let same = known.clone().find(|path| path.rsplit('.').next() == Some(name));
    let close =
        || known.map(|path| (strsim::jaro_winkler(path, class), path)).max_by(|a, b| a.0.total_cmp(&b.0));
    let is_typo =
        |path: &&str| strsim::damerau_levenshtein(path.rsplit('.').next().unwrap_or(path), name) <= 2;
    let nearest = same.or_else(|| close().map(|(_, path)| path).filter(is_typo));
    Error::Operator {
        place: place.clone(),
        class: class.to_owned(),
        nearest: nearest.map(str::to_owned),
        runs: specs.iter().map(|spec| spec.kind.word()).collect::<Vec<_>>().join(", "),
    }
}

/// Refuses what asks for something that does not run here.
pub(crate) fn refuse_unsupported(
    section: &Section<'_>,
    key: &str,
    place: &Place,
    unsupported: &[(&str, &str)],
) -> Result<(), Error> {
    if keys::is_callback(key) {
        return Err(section.unsupported(place, &format!("the callback {key}"), keys::CALLBACK_INSTEAD));
    }
    match unsupported.iter().find(|(name, _)| *name == key) {
        Some((name, instead)) => Err(section.unsupported(place, &format!("`{name}`"), instead)),
        None => Ok(()),
    }
}
