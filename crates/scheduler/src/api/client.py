"""Airflow's own client manages our scheduler: each line that it prints is compared."""

import sys
import time
from datetime import datetime, timezone

import airflow_client.client as airflow
from airflow_client.client.api import (
    BackfillApi, ConnectionApi, DAGApi, DagRunApi, DagSourceApi, DagVersionApi, EventLogApi, ImportErrorApi, LoginApi, MonitorApi,
    PoolApi, TaskApi, TaskInstanceApi, VariableApi, VersionApi, XComApi,
)
from airflow_client.client.exceptions import ApiException
from airflow_client.client.models import (
    BackfillPostBody, ClearTaskInstancesBody, ClearTaskInstancesBodyTaskIdsInner, ConnectionBody, DAGPatchBody, DAGRunClearBody, DAGRunPatchBody,
    DAGRunsBatchBody, PatchTaskInstanceBody, PoolBody, PoolPatchBody, TaskInstancesBatchBody, TriggerDAGRunPostBody, VariableBody,
    XComCreateBody,
)

client = airflow.ApiClient(airflow.Configuration(host=sys.argv[1], access_token="any"))
dags, runs, instances = DAGApi(client), DagRunApi(client), TaskInstanceApi(client)


def refused(call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except ApiException as error:
        return error.status
    return None


def ended(dag_id, run_id):
    for _ in range(400):
        run = runs.get_dag_run(dag_id, run_id)
        if run.state.value in ("success", "failed"):
            return run.state.value
        time.sleep(0.05)
    return "late: " + run.state.value


print("version", VersionApi(client).get_version().version)
health = MonitorApi(client).get_health()
print("health", health.metadatabase.status, health.scheduler.status)

listed = dags.get_dags()
print("dags", [dag.dag_id for dag in listed.dags], listed.total_entries)
print("dag", dags.get_dag("etl").is_paused, dags.get_dag("etl").timetable_summary, dags.get_dag_details("etl").catchup)
print("paused", dags.patch_dag("etl", DAGPatchBody(is_paused=True)).is_paused, dags.patch_dag("etl", DAGPatchBody(is_paused=False)).is_paused)
print("missing", refused(dags.get_dag, "nothing"), refused(runs.get_dag_run, "etl", "nothing"))
print("tasks", [(task.task_id, task.trigger_rule, task.downstream_task_ids) for task in TaskApi(client).get_tasks("etl").tasks])
print("versions", DagVersionApi(client).get_dag_versions("etl").total_entries)

run = runs.trigger_dag_run("etl", TriggerDAGRunPostBody(dag_run_id="one", logical_date=None, conf={"rows": 3}, note="by hand"))
print("triggered", run.dag_run_id, run.state.value, run.run_type.value, run.conf, run.note)
print("again", refused(runs.trigger_dag_run, "etl", TriggerDAGRunPostBody(dag_run_id="one", logical_date=None)))
print("ended", ended("etl", "one"))
print("runs", [(run.dag_run_id, run.state.value) for run in runs.get_dag_runs("etl", state=["success"], order_by=["-run_after"]).dag_runs])
print("batch", runs.get_list_dag_runs_batch("~", DAGRunsBatchBody(dag_ids=["etl"], states=["success"])).total_entries)
print("instances", [(ti.task_id, ti.state.value, ti.try_number, ti.map_index) for ti in instances.get_task_instances("etl", "one").task_instances])
print("all", instances.get_task_instances_batch("~", "~", TaskInstancesBatchBody(state=["success"])).total_entries)
one = instances.get_task_instance("etl", "one", "extract")
print("instance", one.operator, one.pool, one.state.value, one.duration is not None, one.rendered_fields)
print("tries", [try_.try_number for try_ in instances.get_task_instance_tries("etl", "one", "extract").task_instances])
log = instances.get_log("etl", "one", "extract", 1, full_content=True)
print("log", [line.event for line in log.content.actual_instance if "hello" in line.event], log.continuation_token)
xcoms = XComApi(client)
print("xcoms", [entry.key for entry in xcoms.get_xcom_entries("etl", "one", "extract").xcom_entries])
print("xcom", xcoms.get_xcom_entry("etl", "extract", "one", "return_value").actual_instance.value)
created = xcoms.create_xcom_entry("etl", "extract", "one", XComCreateBody(key="rows", value={"n": 1}))
print("created", created.key, created.value)

body = ClearTaskInstancesBody(dag_run_id="one", task_ids=[ClearTaskInstancesBodyTaskIdsInner("load")], only_failed=False, dry_run=True)
print("would clear", [ti.task_id for ti in instances.post_clear_task_instances("etl", body).task_instances])
body = ClearTaskInstancesBody(dag_run_id="one", task_ids=[ClearTaskInstancesBodyTaskIdsInner("load")], only_failed=False, dry_run=False)
print("cleared", [ti.task_id for ti in instances.post_clear_task_instances("etl", body).task_instances], ended("etl", "one"))
print("load", instances.get_task_instance("etl", "one", "load").try_number,
      [try_.try_number for try_ in instances.get_task_instance_tries("etl", "one", "load").task_instances])
print("cleared run", runs.clear_dag_run("etl", "one", DAGRunClearBody(dry_run=False)).actual_instance.dag_run_id, ended("etl", "one"))
patched = instances.patch_task_instance("etl", "one", "load", PatchTaskInstanceBody(new_state="failed", note="no"))
print("patched", [(ti.task_id, ti.state.value, ti.note) for ti in patched.task_instances])
print("run set", runs.patch_dag_run("etl", "one", DAGRunPatchBody(state="failed", note="stop")).state.value)

mapped = runs.trigger_dag_run("mapped", TriggerDAGRunPostBody(dag_run_id="m", logical_date=None))
print("mapped", ended("mapped", "m"), [(ti.map_index, ti.state.value) for ti in instances.get_mapped_task_instances("mapped", "m", "each").task_instances])
print("one of them", instances.get_mapped_task_instance("mapped", "m", "each", 1).state.value, refused(instances.get_task_instance, "mapped", "m", "each"))

variables = VariableApi(client)
print("variable", variables.post_variable(VariableBody(key="place", value="here", description="d")).value)
variables.post_variable(VariableBody(key="my_password", value="hunter2hunter2"))
print("variables", [(v.key, v.value) for v in variables.get_variables().variables])
print("changed", variables.patch_variable("place", VariableBody(key="place", value={"a": 1})).value, refused(variables.get_variable, "none"))
variables.delete_variable("place")
print("left", variables.get_variables().total_entries)

connections = ConnectionApi(client)
body = ConnectionBody(connection_id="pg", conn_type="postgres", host="localhost", port=5432, login="me", password="very-secret", extra='{"token": "abcdef"}')
print("connection", connections.post_connection(body).password)
print("connections", [(c.connection_id, c.host, c.password, c.extra) for c in connections.get_connections().connections])
print("tested", connections.test_connection(ConnectionBody(connection_id="x", conn_type="http", host="127.0.0.1", port=int(sys.argv[1].rsplit(":", 1)[1]))).status)
connections.delete_connection("pg")

pools = PoolApi(client)
print("pool", pools.post_pool(PoolBody(name="small", slots=1)).open_slots, pools.patch_pool("small", PoolPatchBody(slots=2)).slots)
print("pools", [(pool.name, pool.slots) for pool in pools.get_pools().pools])
pools.delete_pool("small")
print("default", refused(pools.delete_pool, "default_pool"))

day = lambda number: datetime(2026, 1, number, tzinfo=timezone.utc)
backfills = BackfillApi(client)
body = BackfillPostBody(dag_id="daily", from_date=day(5), to_date=day(7), max_active_runs=2)
print("dry", [str(run.logical_date) for run in backfills.create_backfill_dry_run(body).backfills])
backfill = backfills.create_backfill(body)
for number in (5, 6, 7):
    print("backfilled", ended("daily", "backfill__2026-01-%02dT00:00:00+00:00" % number))
for _ in range(100):
    if backfills.get_backfill(backfill.id).completed_at:
        break
    time.sleep(0.05)
print("backfill", backfills.list_backfills("daily").total_entries, backfills.get_backfill(backfill.id).completed_at is not None)

print("errors", ImportErrorApi(client).get_import_errors().total_entries)
print("events", EventLogApi(client).get_event_logs(dag_id="etl").total_entries > 0)
runs.delete_dag_run("etl", "one")
print("deleted", refused(runs.get_dag_run, "etl", "one"))
dags.delete_dag("mapped")
print("dag deleted", refused(runs.get_dag_run, "mapped", "m"))
