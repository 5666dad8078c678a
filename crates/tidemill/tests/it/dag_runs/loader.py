"""How Airflow finds the DAGs of the YAML file beside it: dag-factory makes them."""

from dagfactory import load_yaml_dags

load_yaml_dags(globals_dict=globals(), config_filepath=__file__.replace(".py", ".yml"))
