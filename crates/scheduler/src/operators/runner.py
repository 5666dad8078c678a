"""Calls one Python function for a task: what it is given comes as JSON on stdin, what it returns goes into a file."""

import datetime
import importlib
import importlib.util
import inspect
import json
import os
import sys
import traceback
import types
import urllib.parse
import urllib.request

given = json.load(sys.stdin)
sys.stdin = open(os.devnull)


def own_exceptions():
    """Airflow's exceptions for functions that raise them where Airflow is not installed."""
    airflow = types.ModuleType("airflow")
    airflow.__path__ = []
    exceptions = types.ModuleType("airflow.exceptions")

    class AirflowException(Exception):
        pass

    exceptions.AirflowException = AirflowException
    for name in ("AirflowSkipException", "AirflowFailException", "AirflowSensorTimeout", "AirflowTaskTimeout"):
        setattr(exceptions, name, type(name, (AirflowException,), {"__module__": "airflow.exceptions"}))
    sdk = types.ModuleType("airflow.sdk")
    sdk.__path__ = []
    sdk_exceptions = types.ModuleType("airflow.sdk.exceptions")
    sdk_exceptions.__dict__.update({k: v for k, v in vars(exceptions).items() if k.startswith("Airflow")})
    sdk.get_current_context = lambda: context
    airflow.exceptions, airflow.sdk, sdk.exceptions = exceptions, sdk, sdk_exceptions
    sys.modules.update({
        "airflow": airflow, "airflow.exceptions": exceptions, "airflow.sdk": sdk, "airflow.sdk.exceptions": sdk_exceptions,
    })


if importlib.util.find_spec("airflow") is None:
    own_exceptions()


def moment(text):
    return datetime.datetime.fromisoformat(text) if text else None


class Thing:
    """An object with the names that Airflow's own has."""

    def __init__(self, **names):
        self.__dict__.update(names)


pushed = []


class TaskInstance(Thing):
    def xcom_push(self, key, value):
        pushed.append([key, value])

    def xcom_pull(self, task_ids=None, dag_id=None, key="return_value", include_prior_dates=False, *, map_indexes=None,
                  default=None, run_id=None):
        if isinstance(task_ids, (list, tuple)):
            return [self.xcom_pull(one, dag_id, key, map_indexes=map_indexes, default=default, run_id=run_id)
                    for one in task_ids]
        task_id = task_ids or self.task_id
        if task_id == self.task_id and run_id is None:
            for own_key, value in reversed(pushed):
                if own_key == key:
                    return value
        parts = [dag_id or self.dag_id, run_id or self.run_id, task_id, key]
        quoted = [urllib.parse.quote(part, safe="") for part in parts]
        path = "/api/v2/dags/%s/dagRuns/%s/taskInstances/%s/xcomEntries/%s" % tuple(quoted)
        indexes = [-1] if map_indexes is None else map_indexes
        several = isinstance(indexes, (list, tuple, range)) and map_indexes is not None
        values = []
        for index in indexes if isinstance(indexes, (list, tuple, range)) else [indexes]:
            try:
                with urllib.request.urlopen(given["api"] + path + "?deserialize=true&map_index=%d" % index) as answer:
                    values.append(json.load(answer)["value"])
            except urllib.error.HTTPError as error:
                if error.code != 404:
                    raise
                values.append(default)
        if map_indexes is None and values == [default]:
            return self._all_mapped(parts, quoted, default)
        return values if several else values[0]

    def _all_mapped(self, parts, quoted, default):
        path = "/api/v2/dags/%s/dagRuns/%s/taskInstances/%s/xcomEntries?limit=10000&xcom_key=%s" % tuple(quoted)
        with urllib.request.urlopen(given["api"] + path) as answer:
            entries = [e for e in json.load(answer)["xcom_entries"] if e["key"] == parts[3] and e["map_index"] >= 0]
        found = sorted(entry["map_index"] for entry in entries)
        if not found:
            return default
        return self.xcom_pull(parts[2], parts[0], parts[3], map_indexes=found, run_id=parts[1])


logical_date = moment(given["logical_date"])
dag = Thing(dag_id=given["dag_id"])
task = Thing(task_id=given["task_id"], dag_id=given["dag_id"], owner=given["owner"])
dag_run = Thing(
    dag_id=given["dag_id"], run_id=given["run_id"], run_type=given["run_type"], conf=given["conf"],
    logical_date=logical_date, data_interval_start=moment(given["data_interval_start"]),
    data_interval_end=moment(given["data_interval_end"]), run_after=moment(given["run_after"]),
    start_date=moment(given["start_date"]),
)
ti = TaskInstance(
    dag_id=given["dag_id"], task_id=given["task_id"], run_id=given["run_id"], map_index=given["map_index"],
    try_number=given["try_number"], max_tries=given["max_tries"], task=task, dag_run=dag_run,
)
context = {
    "dag": dag, "dag_run": dag_run, "task": task, "ti": ti, "task_instance": ti, "run_id": given["run_id"],
    "params": given["params"], "conf": given["conf"], "templates_dict": given["templates_dict"],
    "data_interval_start": dag_run.data_interval_start, "data_interval_end": dag_run.data_interval_end,
    "task_instance_key_str": "%s__%s__%s" % (
        given["dag_id"], given["task_id"], (given["logical_date"] or given["run_after"])[:10].replace("-", "")),
}
if logical_date:
    context.update({
        "logical_date": logical_date, "ds": logical_date.strftime("%Y-%m-%d"), "ds_nodash": logical_date.strftime("%Y%m%d"),
        "ts": logical_date.isoformat(), "ts_nodash": logical_date.strftime("%Y%m%dT%H%M%S"),
        "ts_nodash_with_tz": logical_date.strftime("%Y%m%dT%H%M%S%z"),
    })


def function():
    callable_ = given["callable"]
    sys.path.insert(0, given["folder"])
    if "dotted" in callable_:
        module, _, name = callable_["dotted"].rpartition(".")
        return getattr(importlib.import_module(module), name)
    folder, file = os.path.split(callable_["file"])
    sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(os.path.splitext(file)[0], callable_["file"])
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return getattr(module, callable_["name"])


def call():
    """As Airflow does: of the context the function gets what its signature names, or all of it where it has **kwargs."""
    wanted = function()
    kwargs = dict(context)
    kwargs.update(given["kwargs"])
    parameters = inspect.signature(wanted).parameters
    if not any(p.kind == p.VAR_KEYWORD for p in parameters.values()):
        positional = [p for p in parameters.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        taken = {p.name for p in positional[:len(given["args"])]}
        kwargs = {k: v for k, v in kwargs.items() if (k in parameters and k not in taken) or k in given["kwargs"]}
    result = wanted(*given["args"], **kwargs)
    return list(result) if inspect.isgenerator(result) else result


def plain(value):
    """What JSON has no word for."""
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=str)
    if hasattr(value, "is_done"):
        return {"is_done": bool(value.is_done), "xcom_value": getattr(value, "xcom_value", None)}
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def main():
    try:
        value = call()
        if given["show_return_value"]:
            print("Done. Returned value was: %s" % (value,))
        answer, code = {"ended": "returned", "value": value}, 0
    except BaseException as error:
        names = {kind.__name__ for kind in type(error).__mro__}
        message = "%s: %s" % (type(error).__name__, error)
        if "AirflowSkipException" in names:
            answer, code = {"ended": "skipped", "message": str(error)}, 0
        else:
            traceback.print_exc()
            ended = "failed for good" if names & {"AirflowFailException", "AirflowSensorTimeout"} else "failed"
            answer, code = {"ended": ended, "message": message}, 1
    answer["pushed"] = pushed
    with open(given["result"], "w") as file:
        json.dump(answer, file, default=plain)
    return code


sys.exit(main())
