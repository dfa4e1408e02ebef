"""deploy/kubernetes: what of it can be judged without a cluster. Dagster's and Kubernetes' own clients read it."""

import json
import re
from pathlib import Path
from typing import Any

import yaml
from dagster._config import process_config, resolve_to_config_type
from dagster_k8s import K8sRunLauncher
from dagster_k8s.job import DagsterK8sJobConfig, UserDefinedDagsterK8sConfig, construct_dagster_k8s_job
from kubernetes import client

ROOT = Path(__file__).parents[1]
CHART = ROOT / "deploy" / "kubernetes"
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
DAGSTER: dict[str, Any] = VALUES["dagster"]


def snake(value: Any) -> Any:
    """Return names as Dagster's configuration spells them; the chart writes them so."""
    if isinstance(value, dict):
        return {re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower(): snake(one) for name, one in value.items()}
    return [snake(one) for one in value] if isinstance(value, list) else value


def read_as(form: str, document: Any) -> Any:
    """Return a document as an object of Kubernetes' client, which refuses what it does not know."""

    class Answer:
        data = json.dumps(document)

    made = client.ApiClient().deserialize(Answer, form)
    assert client.ApiClient().sanitize_for_serialization(made) == document, "nothing of it was dropped"
    return made


def test_the_launcher_takes_its_values_and_makes_the_job_of_a_run() -> None:
    assert DAGSTER["runLauncher"]["type"] == "K8sRunLauncher"
    given = DAGSTER["runLauncher"]["config"]["k8sRunLauncher"]
    config = {
        "service_account_name": "dagster",
        "instance_config_map": "dagster-instance",
        "dagster_home": DAGSTER["global"]["dagsterHome"],
        "image_pull_policy": given["imagePullPolicy"],
        "load_incluster_config": given["loadInclusterConfig"],
        "run_k8s_config": snake({name: {} for name in given["runK8sConfig"]}),
    }
    checked = process_config(resolve_to_config_type(K8sRunLauncher.config_type()), config)
    assert checked.success, checked.errors
    user = UserDefinedDagsterK8sConfig.from_dict(
        {snake_name: given["runK8sConfig"][name] for name in given["runK8sConfig"] for snake_name in snake({name: 0})}
    )
    job = construct_dagster_k8s_job(
        DagsterK8sJobConfig(job_image="image:1", dagster_home=DAGSTER["global"]["dagsterHome"]),
        ["dagster", "api", "execute_run"],
        "dagster-run",
        user_defined_k8s_config=user,
    ).to_dict()
    pod = job["spec"]["template"]["spec"]
    assert job["spec"]["backoff_limit"] == 0, "Dagster's monitoring starts a lost run again, and nobody else"
    assert job["spec"]["ttl_seconds_after_finished"] == 3600
    assert pod["security_context"]["run_as_user"] == 10001
    assert pod["termination_grace_period_seconds"] == 120
    assert pod["containers"][0]["resources"]["limits"] == {"cpu": "2", "memory": "3Gi"}
    assert pod["containers"][0]["security_context"]["capabilities"]["drop"] == ["ALL"]


def test_the_hook_migrates_before_anything_is_installed() -> None:
    text = (CHART / "templates" / "migrate.yaml").read_text()
    for name, value in VALUES["image"].items():
        text = text.replace(f"{{{{ .Values.image.{name} }}}}", value)
    text = text.replace("{{ .Release.Name }}", "warehouse")
    assert "{{" not in text
    job = read_as("V1Job", yaml.safe_load(text))
    assert job.metadata.annotations["helm.sh/hook"] == "pre-install,pre-upgrade"
    container = job.spec.template.spec.containers[0]
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    assert container.command == compose["services"]["migrate"]["command"]
    assert container.env_from[0].secret_ref.name == "warehouse-settings"


def test_the_code_location_is_that_of_the_other_deployments() -> None:
    (code,) = DAGSTER["dagster-user-deployments"]["deployments"]
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    words = compose["services"]["code"]["command"]
    assert code["dagsterApiGrpcArgs"] == words[words.index("-m") :]
    assert code["image"] == VALUES["image"]
    read_as("V1PodSecurityContext", code["podSecurityContext"])
    read_as("V1SecurityContext", code["securityContext"])
    assert code["podSecurityContext"]["runAsUser"] == int(
        re.findall(r"--uid (\d+)", (ROOT / "Dockerfile").read_text())[0]
    )


def test_what_dagster_is_told_is_what_dagster_yaml_says() -> None:
    own = yaml.safe_load((ROOT / "dagster.yaml").read_text())
    daemon = DAGSTER["dagsterDaemon"]
    assert snake(daemon["runRetries"]) == own["run_retries"]
    assert snake(DAGSTER["scheduler"]["config"]["daemonScheduler"]) == own["scheduler"]["config"]
    assert snake(daemon["runMonitoring"]).keys() == own["run_monitoring"].keys()
    queue = daemon["runCoordinator"]["config"]["queuedRunCoordinator"]
    assert queue["tagConcurrencyLimits"] == own["concurrency"]["runs"]["tag_concurrency_limits"]
    assert DAGSTER["pythonLogs"]["managedPythonLoggers"] == own["python_logs"]["managed_python_loggers"]


def test_the_chart_is_of_the_version_that_is_locked() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    (dagster,) = chart["dependencies"]
    assert f"\ndagster=={dagster['version']} " in (ROOT / "requirements.lock").read_text()
