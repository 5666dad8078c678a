"""The functions of the DAG files that a real Airflow and ours both call."""


def choose():
    return ["left", "grouped"]


def choose_nobody():
    return "somebody_else"


def nothing():
    return None


def refuse():
    return False


def agree():
    return "yes"


def skip():
    from airflow.exceptions import AirflowSkipException

    raise AirflowSkipException("nothing to do")


def fail_for_good():
    from airflow.exceptions import AirflowFailException

    raise AirflowFailException("no other try would help")


def numbers(ti):
    ti.xcom_push("count", 3)
    return [[1], [2], [3]]


def times(number, factor=1):
    return {"number": number * factor}


def total(ti):
    return sum(given["number"] for given in ti.xcom_pull(task_ids="times"))


def again(number):
    return number + 1


def commands():
    return ["echo '{{ ds }}'", "echo two"]


def no_rows():
    return []


def describe(day, pulled, whole, ds, params, templates_dict, **context):
    return {
        "day": day, "pulled": pulled, "whole": whole, "ds": ds, "word": params["word"], "limit": params["limit"],
        "dict": templates_dict, "try": context["ti"].try_number, "run": context["run_id"],
        "interval": context["data_interval_start"].isoformat(), "type": context["dag_run"].run_type,
    }
