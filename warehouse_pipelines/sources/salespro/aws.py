"""Requests to AWS, by boto3, with the attempts, waits and errors of ``_http``.

boto3 makes one attempt for each request, so that a wait ends with its run, is counted, and honours ``Retry-After``.
"""

import functools
import logging
import threading
from typing import Any, NamedTuple

from warehouse_pipelines.errors import (
    AnswerChanged,
    CredentialRefused,
    NotConfigured,
    PermissionMissing,
    RequestRefused,
    VendorUnavailable,
    masked,
)
from warehouse_pipelines.model.reading import ReadContext
from warehouse_pipelines.sources._http import ATTEMPTS, LONGEST_WAIT, backoff, retry_after

log = logging.getLogger("warehouse.ingestion")

NOTHING = "nothing was loaded, the next run starts at the same place"

TOO_MANY = {"Throttling", "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded", "SlowDown"}
WRONG_CREDENTIAL = {
    "ExpiredToken", "ExpiredTokenException", "IncompleteSignature", "InvalidAccessKeyId", "InvalidClientTokenId",
    "InvalidSignatureException", "InvalidToken", "MissingAuthenticationToken", "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}  # fmt: skip
NO_PERMISSION = {"AccessDenied", "AccessDeniedException", "AllAccessDisabled"}
_making = threading.Lock()
"""A session is not safe for threads while it makes a client."""


class Account(NamedTuple):
    """The account and region to use; None leaves a value to the standard chain (profile, container, instance)."""

    region: str | None = None
    endpoint: str | None = None
    profile: str | None = None
    access_key: str | None = None
    secret: str | None = None
    token: str | None = None

    def __repr__(self) -> str:
        return f"Account({self.region}, {self.endpoint})"


@functools.lru_cache(maxsize=8)
def _session(account: Account) -> Any:
    """Return the session. It is kept, because it takes a third of a second to read the services' descriptions."""
    import boto3

    for name in ("boto3", "botocore", "urllib3"):
        logging.getLogger(name).setLevel(logging.INFO)  # at DEBUG they log what is signed, tokens included
    return boto3.session.Session(
        aws_access_key_id=account.access_key,
        aws_secret_access_key=account.secret,
        aws_session_token=account.token,
        profile_name=account.profile,
        region_name=account.region,
    )


@functools.lru_cache(maxsize=8)
def _clients(account: Account) -> tuple[Any, Any]:
    """Return the clients of Athena and of S3, which keep their connections open."""
    from botocore.config import Config

    session = _session(account._replace(endpoint=None))
    config = Config(
        connect_timeout=10,
        read_timeout=60,
        max_pool_connections=20,
        retries={"total_max_attempts": 1},
        region_name=session.region_name or "us-east-1",
        user_agent_extra="warehouse-pipelines",
    )
    athena, s3 = (session.client(name, endpoint_url=account.endpoint, config=config) for name in ("athena", "s3"))
    return athena, s3


class AwsRequests:
    """Requests of one read, with one account."""

    def __init__(self, context: ReadContext, *, title: str, account: Account) -> None:
        from botocore.exceptions import BotoCoreError

        self.context = context
        self.title = title
        try:
            with _making:
                self.athena, self.s3 = _clients(account)
        except (BotoCoreError, ValueError) as error:
            raise NotConfigured(f"{title}: the AWS settings cannot be used: {masked(str(error))}") from error

    def call(self, method: Any, wanted: str | None, **parameters: Any) -> Any:
        """Make a request and return the ``wanted`` member of its answer.

        Raises ``VendorUnavailable`` when all attempts failed, ``CredentialRefused``, ``PermissionMissing`` or
        ``RequestRefused`` for a final error, ``AnswerChanged`` for an answer without ``wanted``.
        """
        from botocore.exceptions import (
            BotoCoreError,
            ClientError,
            CredentialRetrievalError,
            HTTPClientError,
            NoCredentialsError,
            PartialCredentialsError,
            ProfileNotFound,
        )

        name = method.__name__
        problem = ""
        for attempt in range(1, ATTEMPTS + 1):
            asked = None
            try:
                with self.context.waiting(calls=1):
                    answer = method(**parameters)
                if wanted is None or wanted in answer:
                    return answer if wanted is None else answer[wanted]
                problem = f"an answer without {wanted}"
            except ClientError as error:
                problem = self._refuse(name, error)
                asked = retry_after(error.response["ResponseMetadata"].get("HTTPHeaders", {}).get("retry-after"))
            except (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError, ProfileNotFound) as error:
                raise CredentialRefused(
                    f"{self.title}: no credential for AWS was found ({type(error).__name__}). Set AWS_ACCESS_KEY_ID "
                    "and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; nothing was loaded."
                ) from error
            except HTTPClientError as error:
                problem = type(error).__name__
            except BotoCoreError as error:
                raise RequestRefused(f"{self.title}: {name} was not sent: {masked(str(error))}") from error
            if attempt == ATTEMPTS:
                break
            wait = backoff(attempt) if asked is None else asked
            if wait > LONGEST_WAIT:
                break
            log.warning("%s: %s failed (%s), attempt %d of %d, next in %.1f s",
                        self.title, name, problem, attempt, ATTEMPTS, wait)  # fmt: skip
            self.context.pause(self.title, wait)
        if problem.startswith("an answer"):
            raise AnswerChanged(f"{self.title} answered {name} with {problem}, {ATTEMPTS} times; nothing was loaded.")
        raise VendorUnavailable(
            f"{self.title} did not answer {name} after {attempt} attempts (last: {problem}); {NOTHING}"
        )

    def _refuse(self, name: str, error: Any) -> str:
        """Raise for an error that is final; return a short reason for one that may pass."""
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = int(error.response["ResponseMetadata"].get("HTTPStatusCode", 0))
        if code in TOO_MANY or status >= 500 or status in (408, 429):
            return f"{status} {code}"
        message = masked(str(error.response.get("Error", {}).get("Message", "")), 200)
        asked = f"{self.title} answered {name} with {code}: {message}"
        if code in WRONG_CREDENTIAL:
            raise CredentialRefused(
                f"{asked}. Renew the AWS credential and set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY again, or "
                "AWS_PROFILE; nothing was loaded."
            ) from error
        if code in NO_PERMISSION:
            raise PermissionMissing(f"{asked}. The policy must allow it; grant that, then run again.") from error
        refused = RequestRefused(f"{asked}. The request or a setting is wrong; nothing was loaded.")
        refused.status = status
        raise refused from error
