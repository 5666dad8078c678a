//! The scheduler: DAGs in dag-factory's format, run as Airflow's LocalExecutor runs them, behind Airflow's REST API v2.
