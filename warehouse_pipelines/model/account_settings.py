"""The settings of an account with a name: those of its CRM, with the name of the account in theirs."""

import functools
import types
from typing import TypeVar, cast

from pydantic import SecretStr

from warehouse_pipelines.settings import FromEnvironment

S = TypeVar("S", bound=FromEnvironment)


@functools.cache
def settings_of(form: type[S], infix: str) -> type[S]:
    """Return the settings of an account of a vendor, the form itself for the one without a name.

    ``infix`` is what stands between the prefix and the setting: an account, or a source where the form has no prefix.
    ``HUBSPOT_ACCESS_TOKEN`` of the account ``west`` is ``HUBSPOT_WEST_ACCESS_TOKEN``. A setting is never taken from
    another account: a missing token must not make us read another portal.
    """
    if not infix:
        return form
    prefix = f"{form.model_config.get('env_prefix', '')}{infix.upper()}_"
    return cast(type[S], types.new_class(form.__name__, (form,), {"env_prefix": prefix}))


class WebhookSecrets(FromEnvironment):
    """How deliveries to an account with a name are verified: ``HUBSPOT_WEST_CLIENT_SECRET`` (``settings_of``)."""

    client_secret: SecretStr | None = None
    signing_keys: SecretStr | None = None
    webhook_secret: SecretStr | None = None
