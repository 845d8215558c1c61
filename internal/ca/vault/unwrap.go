// SPDX-License-Identifier: AGPL-3.0-only

package vault

import (
	"context"
	"encoding/json"
	"path"
	"strings"

	"github.com/hashicorp/vault/api"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/order"
)

// unwrap gives what is behind a wrapping token. Vault gives it once: that it is gone may mean that somebody else has it.
func (a authority) unwrap(ctx context.Context, o order.Unwrap, answer *order.Answer) error {
	if err := a.open(); err != nil {
		return err
	}
	var last *trouble
	for _, node := range a.nodes {
		if bad := a.checkWrapped(ctx, node, o); bad != nil && !bad.elsewhere {
			return bad
		}
		secret, bad := a.send(ctx, node, "sys/wrapping/unwrap", func(ctx context.Context, _ *api.Client) (*api.Response, error) {
			client, err := a.client(node.address)
			if err != nil {
				return nil, err
			}
			client.SetToken(o.Wrapped.Reveal())
			return client.Logical().WriteRawWithContext(ctx, "sys/wrapping/unwrap", nil)
		})
		switch {
		case bad == nil && secret.Auth != nil && secret.Auth.ClientToken != "" && !o.SecretID:
			answer.Key = cert.NewKey(secret.Auth.ClientToken)
			return nil
		case bad == nil && text(secret, "secret_id") != "" && o.SecretID:
			answer.Key = cert.NewKey(text(secret, "secret_id"))
			return nil
		case bad == nil:
			return failed("vault-unwrap", "the wrapping token is of something else: wrap a secret-id for wrapped-secret-id, a token for wrapped-token")
		case bad.elsewhere:
			last = bad
			continue
		}
		return bad
	}
	a.shut(last.Failure)
	return last
}

// checkWrapped asks what a wrapping token is of, which does not use it up: somebody who took the secret out may have wrapped
// another one in its place.
func (a authority) checkWrapped(ctx context.Context, node node, o order.Unwrap) *trouble {
	secret, bad := a.send(ctx, node, "sys/wrapping/lookup", func(ctx context.Context, _ *api.Client) (*api.Response, error) {
		body, err := json.Marshal(map[string]string{"token": o.Wrapped.Reveal()})
		if err != nil {
			return nil, err
		}
		return node.bare.Logical().WriteRawWithContext(ctx, "sys/wrapping/lookup", body)
	})
	made := text(secret, "creation_path")
	switch {
	case bad != nil && (bad.Code == "vault-refused" || bad.Code == "vault-denied"):
		return failed("vault-unwrap", "the wrapping token is not valid any more: it has ended, or was used. If nobody here used it, somebody "+
			"else did: revoke what it wrapped. Wrap anew, and put that into the secret with juju update-secret")
	case bad != nil:
		return bad
	case o.SecretID && strings.HasPrefix(made, path.Join("auth", o.Vault.LoginMount, "role")+"/") && strings.HasSuffix(made, "/secret-id"),
		!o.SecretID && strings.HasPrefix(made, "auth/token/create"):
		return nil
	}
	return failed("vault-unwrap", "the wrapping token was made by %q, not by whoever makes what it should wrap: find out who did that, and wrap anew", made)
}
