"""versitygw: users are made by signed requests to its admin API, their rights are a policy of the bucket."""

import json
from datetime import UTC, datetime
from hashlib import sha256
from urllib.parse import quote, urlsplit
from xml.sax.saxutils import escape

from minio.credentials.credentials import Credentials as S3Key
from minio.signer import sign_v4_s3

from armonik_operator.errors import BucketRefused
from armonik_operator.provisioning.buckets.provisioner import OwnedBuckets
from armonik_operator.provisioning.buckets.tenant import Key, Tenant, grants, policy, statements
from armonik_sdk.dataplane.credentials import Credentials
from armonik_sdk.dataplane.s3.client import make_pool

_EXISTS = 409
_SHOWN = 300
"""Characters of a refusal that are shown."""


class Versitygw:
    """A `Provisioner`."""

    def __init__(self, root: Credentials, installation: str) -> None:
        self._root = root
        self._url = f"{'https' if root.s3_secure else 'http'}://{root.s3_endpoint}"
        self._pool = make_pool(2, retries=False, ca=root.tls_ca)
        self._buckets = OwnedBuckets(root, installation)

    def ensure(self, tenant: Tenant) -> None:
        """See `Provisioner`. The policy comes last: the server refuses one for users that are not there."""
        self._buckets.ensure(tenant)
        for key in tenant.keys.values():
            self._ensure_user(key)
        rules = [s for role, key in tenant.keys.items() for s in statements(grants(tenant, role), key.access)]
        self._buckets.client.set_bucket_policy(tenant.bucket, json.dumps(policy(rules)))

    def remove(self, tenant: Tenant) -> None:
        """See `Provisioner`. Users go first, so that nobody writes any more."""
        for key in tenant.keys.values():
            self._ask(f"delete-user?access={quote(key.access, safe='')}", "")
        self._buckets.remove(tenant)

    def tenants(self) -> dict[str, str]:
        """See `Provisioner`."""
        return self._buckets.tenants()

    def _ensure_user(self, key: Key) -> None:
        secret = f"<Secret>{escape(key.secret)}</Secret><Role>user</Role>"
        made = f"<Account><Access>{escape(key.access)}</Access>{secret}</Account>"
        if self._ask("create-user", made, also=_EXISTS) == _EXISTS:
            changed = f"<MutableProps>{secret}</MutableProps>"
            self._ask(f"update-user?access={quote(key.access, safe='')}", changed)

    def _ask(self, path: str, xml: str, also: int = 0) -> int:
        """The status of an answer, which is success or `also`."""
        body, now, url = xml.encode(), datetime.now(UTC), urlsplit(f"{self._url}/{path}")
        digest = sha256(body).hexdigest()
        headers = sign_v4_s3(
            method="PATCH",
            url=url,
            region=self._root.s3_region,
            headers={
                "Host": url.netloc,
                "x-amz-content-sha256": digest,
                "x-amz-date": now.strftime("%Y%m%dT%H%M%SZ"),
            },
            credentials=S3Key(self._root.s3_access_key, self._root.s3_secret_key),
            content_sha256=digest,
            date=now,
        )
        answer = self._pool.urlopen("PATCH", url.geturl(), body=body, headers=headers)
        if answer.status >= 300 and answer.status != also:
            text = answer.data.decode(errors="replace")[:_SHOWN]
            raise BucketRefused(f"versitygw answers {path.partition('?')[0]} with {answer.status}: {text}")
        return int(answer.status)
