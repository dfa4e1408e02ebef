"""The settings of an account with a name: those of its CRM, with the name of the account in theirs."""

import functools
import types
from typing import TypeVar, cast

from pydantic import SecretStr

from warehouse_pipelines.settings import FromEnvironment

S = TypeVar("S", bound=FromEnvironment)


@functools.cache
def of_account(form: type[S], account: str) -> type[S]:
    """Return the settings of an account of a vendor, the form itself for the one without a name.

    ``HUBSPOT_ACCESS_TOKEN`` of the account ``west`` is ``HUBSPOT_WEST_ACCESS_TOKEN``. None falls back on another
    account's: a token that is missing must not have another portal read.
    """
    if not account:
        return form
    prefix = f"{form.model_config.get('env_prefix', '')}{account.upper()}_"
    return cast(type[S], types.new_class(form.__name__, (form,), {"env_prefix": prefix}))


class WebhookSecrets(FromEnvironment):
    """How deliveries to an account with a name are verified: ``HUBSPOT_WEST_CLIENT_SECRET`` (``of_account``)."""

    client_secret: SecretStr | None = None
    signing_keys: SecretStr | None = None
    webhook_secret: SecretStr | None = None
