// SPDX-License-Identifier: AGPL-3.0-only

package vaulttest_test

import (
	"net/http"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/ca/vault/vaulttest"
)

const signOnly = `
path "pki/sign-verbatim/signet" { capabilities = ["create", "update"] }
path "pki/certs" { capabilities = ["list"] }
path "pki/issuer/+/sign-verbatim/signet" { capabilities = ["update"] }
path "pki/roles/*" { capabilities = ["read"] }
path "pki/roles/no" { capabilities = ["deny"] }
`

// accessFacts are about who is let in.
func accessFacts() map[string]func(bench) {
	return map[string]func(bench){
		"a sealed Vault refuses all with 503 and serves again when it is unsealed": func(b bench) {
			b.rooted()
			b.Seal()
			sealed := "Vault is sealed"
			b.refuses(b.as(b.Client(""), "GET", "pki/cert/ca", nil), http.StatusServiceUnavailable, sealed)
			b.refuses(b.as(b.Client(""), "PUT", "auth/approle/login", map[string]any{"role_id": "x"}), http.StatusServiceUnavailable, sealed)
			b.refuses(b.get("pki/cert/ca"), http.StatusServiceUnavailable, pick(b, "error performing token check: "+sealed, sealed))
			b.Unseal()
			b.ok(b.get("pki/cert/ca"))
		},
		"a policy that does not allow is said otherwise than a bad token": func(b bench) {
			b.rooted()
			client := b.Client(b.Login(b.AppRole("weak", signOnly)))
			b.refuses(b.as(client, "PUT", "pki/revoke", map[string]any{"serial_number": "00"}), http.StatusForbidden, once("permission denied"))
			b.refuses(b.as(client, "PUT", "nomount/x", nil), http.StatusForbidden, once("permission denied"))
			b.refuses(b.as(b.Client("nonsense"), "PUT", "pki/revoke", nil), http.StatusForbidden,
				pick(b, "permission denied", "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"))
			b.refuses(b.as(b.Client(""), "PUT", "pki/revoke", nil), pick(b, http.StatusBadRequest, http.StatusForbidden),
				pick(b, "missing client token", "permission denied"))
		},
		"a policy holds by path, wildcard and capability": func(b bench) {
			b.rooted()
			client := b.Client(b.Login(b.AppRole("weak", signOnly)))
			b.ok(b.as(client, "PUT", "pki/sign-verbatim/signet", map[string]any{"csr": b.plain()}))
			b.ok(b.as(client, "LIST", "pki/certs", nil))
			b.ok(b.as(client, "GET", "pki/roles/signet", nil))
			for _, denied := range [][2]string{
				{"PUT", "pki/sign-verbatim"}, {"PUT", "pki/sign-verbatim/other"}, {"PUT", "pki/roles/signet"}, {"GET", "pki/roles/no"},
				{"LIST", "pki/roles"}, {"PUT", "pki/root/generate/internal"}, {"GET", "pki/crl/rotate"}, {"GET", "sys/mounts"},
			} {
				b.refuses(b.as(client, denied[0], denied[1], nil), http.StatusForbidden, once("permission denied"))
			}
			issuers := b.as(client, "PUT", "pki/issuer/default/sign-verbatim/signet", map[string]any{"csr": b.plain()})
			require.Equal(b.t, pick(b, http.StatusNotFound, http.StatusOK), issuers.status)
		},
		"of two policies about one path the one that denies wins": func(b bench) {
			b.rooted()
			b.AppRole("signet", signOnly)
			require.Equal(b.t, http.StatusNoContent, b.put("sys/policy/never", map[string]any{"policy": `path "pki/certs" { capabilities = ["deny"] }`}).status)
			b.put("auth/approle/role/signet", map[string]any{"policies": "signet,never"})
			role := b.ok(b.get("auth/approle/role/signet/role-id"))
			roleID, ok := role["role_id"].(string)
			require.True(b.t, ok)
			client := b.Client(b.Login(vaulttest.Credentials{RoleID: roleID, SecretID: b.NewSecretID("signet")}))
			b.refuses(b.as(client, "LIST", "pki/certs", nil), http.StatusForbidden, once("permission denied"))
			b.ok(b.as(client, "GET", "pki/roles/signet", nil))
		},
		"the last slash of a list may be in the policy": func(b bench) {
			b.rooted()
			client := b.Client(b.Login(b.AppRole("weak", `path "pki/certs/" { capabilities = ["list"] }`)))
			b.sign(map[string]any{"csr": b.plain()})
			b.ok(b.as(client, "LIST", "pki/certs", nil))
		},
		"an unknown mount is no route": func(b bench) {
			b.refuses(b.put("nomount/x", nil), http.StatusNotFound,
				pick(b, "no handler for route 'nomount/x'", `no handler for route "nomount/x". route entry not found.`))
		},
		"an unknown path of a mount is not supported": func(b bench) {
			b.rooted()
			b.refuses(b.get("pki/nothing"), http.StatusNotFound, once("unsupported path"))
		},
		"what is mounted, or logs in, cannot be so twice": func(b bench) {
			b.Mount("pki")
			b.refuses(b.put("sys/mounts/pki", map[string]any{"type": "pki"}), http.StatusBadRequest, pick(b, "existing mount at pki/", "path is already in use at pki/"))
			b.AppRole("signet", signOnly)
			b.refuses(b.put("sys/auth/approle", map[string]any{"type": "approle"}), http.StatusBadRequest, pick(b, "path is already in use", "path is already in use at approle/"))
		},
		"a policy may be written by either path, and replaced": func(b bench) {
			b.rooted()
			client := b.Client(b.Login(b.AppRole("signet", signOnly)))
			revoke := func() int { return b.as(client, "PUT", "pki/revoke", map[string]any{"serial_number": "00"}).status }
			require.Equal(b.t, http.StatusForbidden, revoke())
			may := map[string]any{"policy": `path "pki/*" { capabilities = ["update"] }`}
			require.Equal(b.t, http.StatusNoContent, b.put("sys/policies/acl/signet", may).status)
			require.Equal(b.t, http.StatusBadRequest, revoke())
		},
		"health and seal status are told to anybody": func(b bench) {
			for _, path := range []string{"sys/health", "sys/seal-status"} {
				require.Equal(b.t, http.StatusOK, b.as(b.Client(""), "GET", path, nil).status)
			}
		},
	}
}

// loginFacts are about AppRole, tokens and wrapping.
func loginFacts() map[string]func(bench) {
	return map[string]func(bench){
		"a login says what was wrong with it": func(b bench) {
			right := b.AppRole("signet", signOnly)
			login := func(roleID, secretID string) said {
				return b.as(b.Client(""), "PUT", "auth/approle/login", map[string]any{"role_id": roleID, "secret_id": secretID})
			}
			either := "invalid role or secret ID"
			b.refuses(login("x", right.SecretID), http.StatusBadRequest, pick(b, "invalid role ID", either))
			b.refuses(login(right.RoleID, "x"), http.StatusBadRequest, pick(b, "invalid secret id", either))
			b.refuses(login("", right.SecretID), http.StatusBadRequest, "missing role_id")
			b.refuses(login(right.RoleID, ""), http.StatusBadRequest, "missing secret_id")
			got := login(right.RoleID, right.SecretID)
			require.Equal(b.t, http.StatusOK, got.status)
			require.Empty(b.t, got.secret.Data)
			require.Equal(b.t, 2764800, got.secret.Auth.LeaseDuration)
			require.True(b.t, got.secret.Auth.Renewable)
			require.Equal(b.t, []string{"default", "signet"}, got.secret.Auth.TokenPolicies)
			require.Equal(b.t, "signet", got.secret.Auth.Metadata["role_name"])
			second := b.NewSecretID("signet")
			require.NotEqual(b.t, right.SecretID, second)
			require.NotEmpty(b.t, b.Login(vaulttest.Credentials{RoleID: right.RoleID, SecretID: second}))
		},
		"a login at an unknown mount is a call without a token": func(b bench) {
			b.refuses(b.as(b.Client(""), "PUT", "auth/other/login", map[string]any{"role_id": "x"}),
				pick(b, http.StatusBadRequest, http.StatusForbidden), pick(b, "missing client token", "permission denied"))
		},
		"a secret-id may be good for some logins only": func(b bench) {
			b.AppRole("signet", signOnly)
			b.put("auth/approle/role/few", map[string]any{"policies": "signet", "secret_id_num_uses": 2})
			role := b.ok(b.get("auth/approle/role/few/role-id"))
			few := map[string]any{"role_id": role["role_id"], "secret_id": b.NewSecretID("few")}
			for range 2 {
				require.Equal(b.t, http.StatusOK, b.as(b.Client(""), "PUT", "auth/approle/login", few).status)
			}
			b.refuses(b.as(b.Client(""), "PUT", "auth/approle/login", few), http.StatusBadRequest, pick(b, "invalid secret id", "invalid role or secret ID"))
		},
		"a token tells about itself, is renewed, and ends when it says so": func(b bench) {
			client := b.Client(b.Login(b.AppRole("signet", signOnly)))
			self := b.ok(b.as(client, "GET", "auth/token/lookup-self", nil))
			require.Equal(b.t, client.Token(), self["id"])
			require.Equal(b.t, true, self["renewable"])
			require.NotEmpty(b.t, self["expire_time"])
			renewed := b.as(client, "PUT", "auth/token/renew-self", map[string]any{"increment": "1h"})
			require.Equal(b.t, http.StatusOK, renewed.status)
			require.Equal(b.t, 3600, renewed.secret.Auth.LeaseDuration)
			require.Equal(b.t, client.Token(), renewed.secret.Auth.ClientToken)
			require.Equal(b.t, http.StatusNoContent, b.as(client, "PUT", "auth/token/revoke-self", nil).status)
			require.Equal(b.t, http.StatusForbidden, b.as(client, "GET", "auth/token/lookup-self", nil).status)
		},
		"a token is renewed up to its most": func(b bench) {
			b.AppRole("signet", signOnly)
			b.put("auth/approle/role/short", map[string]any{"policies": "signet", "token_ttl": "10m", "token_max_ttl": "20m"})
			role := b.ok(b.get("auth/approle/role/short/role-id"))
			roleID, ok := role["role_id"].(string)
			require.True(b.t, ok)
			client := b.Client(b.Login(vaulttest.Credentials{RoleID: roleID, SecretID: b.NewSecretID("short")}))
			renewed := b.as(client, "PUT", "auth/token/renew-self", map[string]any{"increment": "1h"})
			require.InDelta(b.t, 1200, renewed.secret.Auth.LeaseDuration, 5)
		},
		"a token may be good for some calls only": func(b bench) {
			b.AppRole("signet", signOnly)
			b.put("auth/approle/role/few", map[string]any{"policies": "signet", "token_num_uses": 2})
			role := b.ok(b.get("auth/approle/role/few/role-id"))
			roleID, ok := role["role_id"].(string)
			require.True(b.t, ok)
			client := b.Client(b.Login(vaulttest.Credentials{RoleID: roleID, SecretID: b.NewSecretID("few")}))
			for range 2 {
				b.ok(b.as(client, "GET", "auth/token/lookup-self", nil))
			}
			require.Equal(b.t, http.StatusForbidden, b.as(client, "GET", "auth/token/lookup-self", nil).status)
		},
		"a wrapped secret-id is told once, and where it comes from without using it up": func(b bench) {
			b.AppRole("signet", signOnly)
			wrapping := b.Wrap("auth/approle/role/signet/secret-id", nil)
			for range 2 {
				looked := b.ok(b.as(b.Client(""), "PUT", "sys/wrapping/lookup", map[string]any{"token": wrapping}))
				require.Equal(b.t, "auth/approle/role/signet/secret-id", looked["creation_path"])
			}
			data := b.ok(b.as(b.Client(wrapping), "PUT", "sys/wrapping/unwrap", nil))
			require.NotEmpty(b.t, data["secret_id"])
			gone := "wrapping token is not valid or does not exist"
			b.refuses(b.as(b.Client(wrapping), "PUT", "sys/wrapping/unwrap", nil), http.StatusBadRequest, gone)
			b.refuses(b.as(b.Client(""), "PUT", "sys/wrapping/lookup", map[string]any{"token": wrapping}), http.StatusBadRequest, gone)
			b.refuses(b.as(b.Client("nonsense"), "PUT", "sys/wrapping/unwrap", nil), http.StatusBadRequest, gone)
		},
		"a wrapped token comes as a login": func(b bench) {
			b.AppRole("signet", signOnly)
			wrapping := b.Wrap("auth/token/create", map[string]any{"policies": []string{"signet"}, "ttl": "1h"})
			got := b.as(b.Client(wrapping), "PUT", "sys/wrapping/unwrap", nil)
			require.Equal(b.t, http.StatusOK, got.status)
			require.Empty(b.t, got.secret.Data)
			require.Equal(b.t, 3600, got.secret.Auth.LeaseDuration)
			self := b.ok(b.as(b.Client(got.secret.Auth.ClientToken), "GET", "auth/token/lookup-self", nil))
			require.Equal(b.t, []any{"default", "signet"}, self["policies"])
		},
		"rights are told to who has them": func(b bench) {
			client := b.Client(b.Login(b.AppRole("signet", signOnly)))
			can := b.ok(b.as(client, "PUT", "sys/capabilities-self", map[string]any{"paths": []string{"pki/certs", "pki/revoke"}}))
			require.Equal(b.t, []any{"list"}, can["pki/certs"])
			require.Equal(b.t, []any{"deny"}, can["pki/revoke"])
		},
	}
}
