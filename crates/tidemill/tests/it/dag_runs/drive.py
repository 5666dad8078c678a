"""Triggers runs by Airflow's own client, waits for their ends, and prints what came of them as JSON.

The scheduler is a real Airflow, where a name and a password are given, or ours.
"""

import json
import sys
import time
import urllib.request
from datetime import datetime

import airflow_client.client as airflow
from airflow_client.client.api import ConnectionApi, DAGApi, DagRunApi, PoolApi, TaskApi, TaskInstanceApi, VariableApi, XComApi
from airflow_client.client.models import ConnectionBody, PoolBody, TriggerDAGRunPostBody, VariableBody

url, wanted, user, password = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3], sys.argv[4]


def token():
    if not user:
        return "any"
    body = json.dumps({"username": user, "password": password}).encode()
    request = urllib.request.Request(url + "/auth/token", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["access_token"]


class Patient(airflow.ApiClient):
    """An Airflow over SQLite answers 500 while its database is locked: then it is asked once more."""

    def call_api(self, *args, **kwargs):
        for _ in range(40):
            answer = super().call_api(*args, **kwargs)
            if answer.status < 500:
                break
            time.sleep(0.5)
        return answer


client = Patient(airflow.Configuration(host=url, access_token=token()))
dags, runs, instances, xcoms = DAGApi(client), DagRunApi(client), TaskInstanceApi(client), XComApi(client)


def until(what, seconds, look):
    last = time.monotonic() + seconds
    while time.monotonic() < last:
        if look():
            return
        time.sleep(0.3)
    raise TimeoutError(what)


def pages(call, key, *names):
    """All entries of a listing: Airflow gives a hundred at a time."""
    found = []
    while True:
        page = call(*names, limit=100, offset=len(found))
        found += getattr(page, key)
        if len(found) >= page.total_entries:
            return found


def plain(moment):
    return moment.timestamp() if moment else None


def entry_value(entry):
    found = xcoms.get_xcom_entry(entry.dag_id, entry.task_id, entry.run_id, entry.key, map_index=entry.map_index)
    return found.actual_instance.value


def dumped(dag_id, run_id):
    run = runs.get_dag_run(dag_id, run_id)
    tasks = {}
    for ti in pages(instances.get_task_instances, "task_instances", dag_id, run_id):
        name = ti.task_id if ti.map_index < 0 else "%s[%d]" % (ti.task_id, ti.map_index)
        tasks[name] = {
            "state": ti.state.value if ti.state else None, "try_number": ti.try_number, "max_tries": ti.max_tries,
            "operator": ti.operator, "pool": ti.pool, "priority_weight": ti.priority_weight,
            "started": plain(ti.start_date), "ended": plain(ti.end_date), "rendered": ti.rendered_fields, "xcoms": {},
        }
        if ti.try_number > 1:
            tries = (instances.get_task_instance_tries(dag_id, run_id, ti.task_id) if ti.map_index < 0 else
                     instances.get_mapped_task_instance_tries(dag_id, run_id, ti.task_id, ti.map_index))
            tasks[name]["tries"] = [
                [it.try_number, it.state.value, plain(it.start_date), plain(it.end_date)] for it in tries.task_instances]
    for entry in pages(xcoms.get_xcom_entries, "xcom_entries", dag_id, run_id, "~"):
        name = entry.task_id if entry.map_index < 0 else "%s[%d]" % (entry.task_id, entry.map_index)
        # Links of Airflow's own web pages are kept as XComs too.
        if not entry.key.startswith("_link_"):
            tasks[name]["xcoms"][entry.key] = entry_value(entry)
    return {
        "state": run.state.value, "type": run.run_type.value, "triggered_by": run.triggered_by.value, "conf": run.conf,
        "logical_date": bool(run.logical_date) if run_id == "by_triggers" else plain(run.logical_date),
        "tasks": tasks,
    }


def graph(dag_id):
    return {
        task.task_id: {
            "rule": task.trigger_rule, "downstream": sorted(task.downstream_task_ids), "owner": task.owner, "retries": task.retries,
            "mapped": task.is_mapped,
        } for task in TaskApi(client).get_tasks(dag_id).tasks
    }


until("the DAGs are read", 120, lambda: {run[0] for run in wanted} <= {dag.dag_id for dag in dags.get_dags(limit=100).dags})
PoolApi(client).post_pool(PoolBody(name="single", slots=1))
VariableApi(client).post_variable(VariableBody(key="place", value="here"))
VariableApi(client).post_variable(VariableBody(key="shape", value={"sides": 4}))
ConnectionApi(client).post_connection(ConnectionBody(connection_id="fs_default", conn_type="fs", extra='{"path": "/"}'))
for dag_id, run_id, logical_date, conf in wanted:
    date = datetime.fromisoformat(logical_date)
    runs.trigger_dag_run(dag_id, TriggerDAGRunPostBody(dag_run_id=run_id, logical_date=date, conf=conf))
names = [run[:2] for run in wanted] + [["triggered", "by_triggers"]]
open_runs = {tuple(name) for name in names}


def have_ended():
    for dag_id, run_id in list(open_runs):
        found = runs.get_dag_runs(dag_id, limit=10).dag_runs
        if any(run.dag_run_id == run_id and run.state.value in ("success", "failed") for run in found):
            open_runs.discard((dag_id, run_id))
    return not open_runs


try:
    until("the runs end", 500, have_ended)
except TimeoutError:
    print("no end of %s" % sorted(open_runs), file=sys.stderr)
print(json.dumps({
    "runs": {"%s %s" % tuple(name): dumped(*name) for name in names if tuple(name) not in open_runs},
    "late": sorted(open_runs),
    "graphs": {dag_id: graph(dag_id) for dag_id in sorted({name[0] for name in names})},
}))
