//! One DAG of a file: its keys over `default`, its groups, its tasks, its edges.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use indexmap::IndexMap;

use super::{
    Error, Reader,
    graph::{Graph, Member, dependencies, order},
    groups::{self, Groups, child_id},
    keys, operators,
    section::{Section, arg, nearest},
    tasks::{self, Surroundings, refuse_unsupported},
    yaml::{Data, Map, Node, Place},
};
use crate::{
    dag::{Arg, Dag, MAX_ACTIVE_DEFAULT, Param, Schedule, Task},
    timetable::Cron,
};

/// Airflow's bounds for the id of a DAG or a task, and for a tag.
const ID_LENGTH_MAX: usize = 250;
const TAG_LENGTH_MAX: usize = 100;
/// Far above what runs in one DAG.
const TASKS_COUNT_MAX: usize = 10_000;

/// A DAG as it stands in its file, with `default` and `defaults.yml` merged in.
pub(crate) struct Written<'a> {
    pub dag_id: &'a str,
    pub place: &'a Place,
    pub map: &'a Map,
    pub file: &'a Path,
}

pub(crate) fn build(reader: &Reader<'_>, written: &Written<'_>) -> Result<Dag, Error> {
    let section = Section::new(format!("the DAG {}", written.dag_id), written.place, written.map);
    check_id("DAG", written.dag_id, written.place)?;
    check_keys(&section)?;
    let default_args = section.map("default_args")?;
    if let Some(map) = default_args {
        check_default_args(&section, map)?;
    }
    let dates = Dates::read(reader, &section, default_args)?;
    let mut dag = head(written, &section, &dates)?;
    if let Some(node) = default_args.and_then(|map| map.get("params")).map(|(_, node)| node)
        && let Some(map) = node.as_map()
    {
        dag.params.extend(section.params(map));
    }
    dag.template_folders = template_folders(reader, &section)?;
    let written_groups = groups::named("task_groups", "group_name", section.get("task_groups"))?;
    let groups = Groups::make(&written_groups)?;
    let written_tasks = groups::named("tasks", "task_id", section.get("tasks"))?;
    if written_tasks.is_empty() {
        return Err(section.missing("tasks", ""));
    }
    let around = Around { section: &section, default_args, dates: &dates, params: &dag.params };
    let (tasks, ids) = around.tasks(&written_tasks, &groups)?;
    dag.tasks = tasks;
    connect(&mut dag, written.place, &written_tasks, groups, &ids)?;
    Ok(dag)
}

/// The dates of a DAG and of its `default_args`, which have zones of their own.
struct Dates {
    start: Option<DateTime<Utc>>,
    end: Option<DateTime<Utc>>,
    default_start: Option<DateTime<Utc>>,
    default_end: Option<DateTime<Utc>>,
    /// In which cron expressions are read: that of the start date.
    zone: Tz,
}

impl Dates {
    fn read(reader: &Reader<'_>, section: &Section<'_>, default_args: Option<&Map>) -> Result<Self, Error> {
        let (zone, clock) = (section.zone()?, reader.clock);
        let start = section.date("start_date", zone, clock)?;
        let mut dates = Dates {
            start,
            end: section.date("end_date", zone, clock)?,
            default_start: None,
            default_end: None,
            zone: if start.is_some() { zone } else { Tz::UTC },
        };
        if let Some(map) = default_args {
            let defaults = Section::new(format!("default_args of {}", section.what), section.place, map);
            let zone = defaults.zone()?;
            dates.default_start = defaults.date("start_date", zone, clock)?;
            dates.default_end = defaults.date("end_date", zone, clock)?;
            if dates.start.is_none() && dates.default_start.is_some() {
                dates.zone = zone;
            }
        }
        Ok(dates)
    }
}

fn check_keys(section: &Section<'_>) -> Result<(), Error> {
    for (key, (place, _)) in section.maps[0] {
        refuse_unsupported(section, key, place, keys::DAG_UNSUPPORTED)?;
        if !keys::DAG.contains(&key.as_str()) {
            return Err(Error::UnknownKey {
                place: place.clone(),
                what: section.what.clone(),
                key: key.clone(),
                nearest: nearest(key, keys::DAG.iter().copied()),
            });
        }
    }
    Ok(())
}

/// `default_args` may hold whatever any task or operator takes.
pub(crate) fn check_default_args(section: &Section<'_>, map: &Map) -> Result<(), Error> {
    let of_operators =
        || operators::specs().iter().flat_map(|spec| spec.arguments().map(|argument| argument.name));
    let known = || keys::TASK.iter().chain(keys::DEFAULT_ARGS_FACTORY).copied().chain(of_operators());
    for (key, (place, _)) in map {
        refuse_unsupported(section, key, place, keys::TASK_UNSUPPORTED)?;
        if !known().any(|name| name == key) {
            return Err(Error::UnknownKey {
                place: place.clone(),
                what: format!("default_args of {}", section.what),
                key: key.clone(),
                nearest: nearest(key, known()),
            });
        }
    }
    Ok(())
}

fn check_id(what: &'static str, id: &str, place: &Place) -> Result<(), Error> {
    let is_good = !id.is_empty()
        && id.chars().count() <= ID_LENGTH_MAX
        && id.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'));
    let refuse = || Error::Id { place: place.clone(), what, name: id.to_owned(), length_max: ID_LENGTH_MAX };
    if is_good { Ok(()) } else { Err(refuse()) }
}

fn head(written: &Written<'_>, section: &Section<'_>, dates: &Dates) -> Result<Dag, Error> {
    let schedule = schedule(section)?;
    let catchup = section.boolean("catchup")?.unwrap_or(false);
    if schedule != Schedule::None {
        refuse_params_without_default(section)?;
    }
    let has_start = dates.start.is_some() || dates.default_start.is_some();
    if catchup && schedule != Schedule::None && !has_start {
        return Err(section.missing("start_date", ", which catchup needs"));
    }
    let max_active_runs = section.count("max_active_runs", 0)?.unwrap_or(MAX_ACTIVE_DEFAULT);
    if schedule == Schedule::Continuous && max_active_runs > 1 {
        return Err(section.missing("max_active_runs: 1", ", which @continuous needs"));
    }
    let max_active_tasks = match section.count("concurrency", 0)? {
        Some(count) => count,
        None => section.count("max_active_tasks", 0)?.unwrap_or(MAX_ACTIVE_DEFAULT),
    };
    Ok(Dag {
        dag_id: written.dag_id.to_owned(),
        display_name: section.text("dag_display_name")?.unwrap_or_else(|| written.dag_id.to_owned()),
        description: section.text("description")?,
        doc_md: doc_md(section)?,
        tags: tags(section)?,
        schedule,
        timezone: dates.zone,
        start_date: dates.start,
        end_date: dates.end,
        catchup,
        max_active_runs,
        max_active_tasks,
        dagrun_timeout: section.duration("dagrun_timeout")?,
        is_paused_upon_creation: section.boolean("is_paused_upon_creation")?,
        render_template_as_native_obj: section.boolean("render_template_as_native_obj")?.unwrap_or(false),
        params: section.map("params")?.map(|map| section.params(map)).unwrap_or_default(),
        user_defined_macros: macros(section)?,
        template_folders: Vec::new(),
        file: written.file.to_path_buf(),
        file_shown: Arc::clone(&written.place.file.path),
        tasks: IndexMap::new(),
        groups: IndexMap::new(),
    })
}

/// A run that nobody triggers has nobody to give it such a value.
fn refuse_params_without_default(section: &Section<'_>) -> Result<(), Error> {
    for (name, (place, node)) in section.map("params")?.into_iter().flatten() {
        if let Data::Param(param) = &node.data
            && param.default.is_none()
        {
            return Err(Error::Missing {
                place: place.clone(),
                what: format!("the param {name} of {}", section.what),
                key: "default".to_owned(),
                why: ", which a DAG with a schedule needs",
            });
        }
    }
    Ok(())
}

fn schedule(section: &Section<'_>) -> Result<Schedule, Error> {
    let Some(node) = section.get("schedule") else { return Ok(Schedule::None) };
    let refuse = |schedule: &str, reason: String| {
        Err(Error::Schedule { place: node.place.clone(), schedule: schedule.to_owned(), reason })
    };
    if let Some(text) = node.as_str() {
        return match text {
            "@once" => Ok(Schedule::Once),
            "@continuous" => Ok(Schedule::Continuous),
            text if text.trim().eq_ignore_ascii_case("none") => Ok(Schedule::None),
            text => match Cron::parse(text) {
                Ok(_) => Ok(Schedule::Cron(text.to_owned())),
                Err(reason) => refuse(text, reason),
            },
        };
    }
    if let Data::Duration(delta) = node.data {
        let shown = crate::timetable::python_delta(delta);
        let is_positive = delta > TimeDelta::zero();
        return if is_positive {
            Ok(Schedule::Delta(delta))
        } else {
            refuse(&shown, "it has to be longer than nothing".to_owned())
        };
    }
    if matches!(node.data, Data::List(_) | Data::Map(_)) {
        let instead = "give the producing DAG a task of TriggerDagRunOperator, or write a cron expression";
        return Err(section.unsupported(&node.place, "a schedule by assets", instead));
    }
    Err(section.value_error("schedule", node, "a cron expression, a preset, none or a datetime.timedelta"))
}

fn doc_md(section: &Section<'_>) -> Result<Option<String>, Error> {
    let Some(node) = section.get("doc_md_file_path") else { return section.text("doc_md") };
    let path = node.as_str().map(Path::new).filter(|path| path.is_absolute());
    let path = path.ok_or_else(|| section.value_error("doc_md_file_path", node, "an absolute path"))?;
    let bytes = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    if bytes > super::FILE_BYTES_MAX {
        return Err(Error::TooLarge { path: path.to_path_buf(), bytes, bytes_max: super::FILE_BYTES_MAX });
    }
    let text = std::fs::read_to_string(path);
    text.map(Some).map_err(|source| Error::Read { path: path.to_path_buf(), source })
}

fn tags(section: &Section<'_>) -> Result<Vec<String>, Error> {
    let mut tags = section.texts("tags")?.unwrap_or_default();
    if let Some(node) =
        section.get("tags").filter(|_| tags.iter().any(|tag| tag.chars().count() > TAG_LENGTH_MAX))
    {
        return Err(section.value_error(
            "tags",
            node,
            &format!("tags of at most {TAG_LENGTH_MAX} characters"),
        ));
    }
    tags.push("dagfactory".to_owned());
    tags.sort();
    tags.dedup();
    Ok(tags)
}

/// Constants only: a text would be the path of a Python function.
fn macros(section: &Section<'_>) -> Result<IndexMap<String, Arg>, Error> {
    fn constant(section: &Section<'_>, node: &Node) -> Result<Arg, Error> {
        if node.as_str().is_some() {
            let instead = "compute it in a task and pull its XCom, or keep it in a variable";
            return Err(section.unsupported(
                &node.place,
                "a Python function in user_defined_macros",
                instead,
            ));
        }
        if let Some(map) = node.as_map() {
            let entries = map.iter().map(|(key, (_, node))| Ok((key.clone(), constant(section, node)?)));
            return Ok(Arg::Map(entries.collect::<Result<_, Error>>()?));
        }
        Ok(arg(node))
    }
    let Some(map) = section.map("user_defined_macros")? else { return Ok(IndexMap::new()) };
    map.iter().map(|(key, (_, node))| Ok((key.clone(), constant(section, node)?))).collect()
}

/// The DAG folder first, where Airflow's loader lies, then `template_searchpath`.
fn template_folders(reader: &Reader<'_>, section: &Section<'_>) -> Result<Vec<PathBuf>, Error> {
    let mut folders = vec![reader.folder.to_path_buf()];
    let Some(node) = section.get("template_searchpath") else { return Ok(folders) };
    let listed = match node.as_str() {
        Some(text) => vec![text.to_owned()],
        None => section.texts("template_searchpath")?.unwrap_or_default(),
    };
    for folder in listed.into_iter().map(PathBuf::from) {
        if !folder.is_absolute() || !folder.is_dir() {
            return Err(section.value_error(
                "template_searchpath",
                node,
                "absolute paths of folders that are there",
            ));
        }
        folders.push(folder);
    }
    Ok(folders)
}

struct Around<'a> {
    section: &'a Section<'a>,
    default_args: Option<&'a Map>,
    dates: &'a Dates,
    params: &'a IndexMap<String, Param>,
}

/// The tasks by id, and their ids by the name in the file.
type Made = (IndexMap<String, Task>, IndexMap<String, String>);

impl Around<'_> {
    fn tasks(
        &self,
        written: &IndexMap<String, groups::Written<'_>>,
        groups: &Groups<'_>,
    ) -> Result<Made, Error> {
        if written.len() > TASKS_COUNT_MAX {
            let node = self.section.get("tasks");
            let refuse =
                |node| self.section.value_error("tasks", node, &format!("at most {TASKS_COUNT_MAX} tasks"));
            return node.map_or(Ok(Default::default()), |node| Err(refuse(node)));
        }
        let mut upstream = IndexMap::with_capacity(written.len());
        for (label, task) in written {
            let names = dependencies(&format!("the task {label}"), task.map)?;
            upstream.insert(label.as_str(), names.into_iter().map(|(name, _)| name).collect::<Vec<_>>());
        }
        let ordered = order(&upstream).map_err(|names| {
            let place = names.first().and_then(|name| written.get(name)).map(|task| task.place.clone());
            Error::Cycle { place: place.unwrap_or_else(|| self.section.place.clone()), names }
        })?;
        let mut ids = IndexMap::with_capacity(written.len());
        let mut made: IndexMap<String, Task> = IndexMap::with_capacity(written.len());
        for label in ordered {
            let task = self.task(label, &written[label], groups, &made, &ids)?;
            ids.insert(label.to_owned(), task.task_id.clone());
            if made.contains_key(&task.task_id) {
                let place = written[label].place.clone();
                return Err(Error::Duplicate { place, what: "task id", name: task.task_id });
            }
            made.insert(task.task_id.clone(), task);
        }
        Ok((made, ids))
    }

    fn task(
        &self,
        label: &str,
        written: &groups::Written<'_>,
        groups: &Groups<'_>,
        made: &IndexMap<String, Task>,
        ids: &IndexMap<String, String>,
    ) -> Result<Task, Error> {
        let what = format!("the task {label}");
        let group = match written.map.get("task_group_name").filter(|(_, node)| !node.is_null()) {
            None => None,
            Some((_, node)) => {
                let group = node.as_str().and_then(|name| groups.made.get_key_value(name));
                Some(group.ok_or_else(|| Error::Dependency {
                    place: node.place.clone(),
                    what: what.clone(),
                    name: node.as_text().unwrap_or_default(),
                    nearest: nearest(
                        node.as_str().unwrap_or_default(),
                        groups.made.keys().map(String::as_str),
                    ),
                })?)
            }
        };
        let task_id = group.map_or_else(|| label.to_owned(), |(_, group)| child_id(group, label));
        check_id("task", &task_id, &written.place)?;
        let around = Surroundings {
            dag_params: self.params,
            start_date: self.dates.start,
            end_date: self.dates.end,
            group_default_args: match group {
                Some((name, _)) => groups.default_args(name)?,
                None => Vec::new(),
            },
            default_args: self.default_args,
            default_start_date: self.dates.default_start,
            default_end_date: self.dates.default_end,
            made,
            ids,
        };
        let written = tasks::Written {
            label,
            task_id,
            group: group.map(|(_, group)| group.group_id.clone()),
            place: &written.place,
            map: written.map,
        };
        tasks::build(&written, &around)
    }
}

/// Edges in the order of the file: of the tasks first, then of the groups.
fn connect(
    dag: &mut Dag,
    place: &Place,
    written_tasks: &IndexMap<String, groups::Written<'_>>,
    groups: Groups<'_>,
    ids: &IndexMap<String, String>,
) -> Result<(), Error> {
    let tasks = ids.iter().map(|(label, id)| (label.clone(), Member::Task(id.clone())));
    let of_groups =
        groups.made.iter().map(|(name, group)| (name.clone(), Member::Group(group.group_id.clone())));
    let members = tasks.chain(of_groups).collect();
    dag.groups = groups.made.values().map(|group| (group.group_id.clone(), group.clone())).collect();
    let outputs: Vec<(String, String)> = dag
        .tasks
        .values()
        .flat_map(|task| task.upstream.iter().map(|upstream| (upstream.clone(), task.task_id.clone())))
        .collect();
    let mut graph = Graph { tasks: &mut dag.tasks, groups: &mut dag.groups, members };
    for (upstream, downstream) in outputs {
        graph.edge(&upstream, &downstream);
    }
    for (label, task) in written_tasks {
        graph.connect(&format!("the task {label}"), label, task.map)?;
    }
    for (name, group) in groups.written {
        graph.connect(&format!("the task group {name}"), name, group.map)?;
    }
    match graph.cycle() {
        Some(names) => {
            let label = ids.iter().find(|(_, id)| Some(*id) == names.first()).map(|(label, _)| label);
            let place = label.and_then(|label| written_tasks.get(label)).map_or(place, |task| &task.place);
            Err(Error::Cycle { place: place.clone(), names })
        }
        None => Ok(()),
    }
}
