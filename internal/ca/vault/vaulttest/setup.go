// SPDX-License-Identifier: AGPL-3.0-only

package vaulttest

import (
	"maps"
	"slices"

	"github.com/stretchr/testify/require"
)

// decade is how long what is signed may live at most, and a CA does.
const decade = "87600h"

// Credentials are what signet logs in with.
type Credentials struct {
	RoleID   string
	SecretID string
}

// Prepare mounts a PKI engine with a CA, its own root or an intermediate of another one, and lets an AppRole do there what
// the policy, in HCL, says.
func (o *operator) Prepare(mount string, intermediate bool, policy string) Credentials {
	o.t.Helper()
	o.Mount(mount)
	if intermediate {
		root := mount + "-root"
		o.Mount(root)
		o.MakeRoot(root)
		o.MakeIntermediate(mount, root)
	} else {
		o.MakeRoot(mount)
	}
	return o.AppRole(mount, policy)
}

// Mount mounts a PKI engine that has no CA yet.
func (o *operator) Mount(mount string) {
	o.t.Helper()
	o.write("sys/mounts/"+mount, map[string]any{"type": "pki", "config": map[string]any{"max_lease_ttl": decade}})
}

// MakeRoot has an engine make a root CA, and gives its certificate in PEM.
func (o *operator) MakeRoot(mount string) string {
	o.t.Helper()
	answer := o.write(mount+"/root/generate/internal", subject(mount))
	return o.text(answer, "certificate")
}

// MakeIntermediate has an engine make a CA that another engine's signs, and gives its certificate in PEM.
func (o *operator) MakeIntermediate(mount, root string) string {
	o.t.Helper()
	request := subject(mount)
	request["csr"] = o.text(o.write(mount+"/intermediate/generate/internal", subject(mount)), "csr")
	signed := o.write(root+"/root/sign-intermediate", request)
	certificate := o.text(signed, "certificate")
	o.write(mount+"/intermediate/set-signed", map[string]any{"certificate": certificate + "\n" + o.text(signed, "issuing_ca")})
	return certificate
}

// subject is what is asked of Vault for a CA of this mount.
func subject(mount string) map[string]any {
	return map[string]any{"common_name": "CA of " + mount, "organization": "Example", "key_type": "ec", "key_bits": 256, "ttl": "43800h"}
}

// AppRole makes an AppRole of this name with a policy of the same name, and gives a secret-id of it.
func (o *operator) AppRole(name, policy string) Credentials {
	o.t.Helper()
	mounts, err := o.Root().Sys().ListAuthWithContext(o.context())
	require.NoError(o.t, err)
	if !slices.Contains(slices.Collect(maps.Keys(mounts)), "approle/") {
		o.write("sys/auth/approle", map[string]any{"type": "approle"})
	}
	o.write("sys/policy/"+name, map[string]any{"policy": policy})
	role := "auth/approle/role/" + name
	o.write(role, map[string]any{"token_policies": name, "policies": name})
	answer, err := o.Root().Logical().ReadWithContext(o.context(), role+"/role-id")
	require.NoError(o.t, err)
	return Credentials{RoleID: o.text(answer.Data, "role_id"), SecretID: o.NewSecretID(name)}
}

// NewSecretID gives another secret-id of an AppRole.
func (o *operator) NewSecretID(name string) string {
	o.t.Helper()
	return o.text(o.write("auth/approle/role/"+name+"/secret-id", nil), "secret_id")
}

// Wrap writes to a path of Vault's as root, and gives a token that tells the answer once: a wrapped secret-id, or a wrapped
// token.
func (o *operator) Wrap(path string, data map[string]any) string {
	o.t.Helper()
	client := o.Root()
	client.SetWrappingLookupFunc(func(string, string) string { return "300s" })
	answer, err := client.Logical().WriteWithContext(o.context(), path, data)
	require.NoError(o.t, err, "%s", path)
	return answer.WrapInfo.Token
}

// Login logs in, and gives the token.
func (o *operator) Login(credentials Credentials) string {
	o.t.Helper()
	answer, err := o.Client("").Logical().WriteWithContext(o.context(), "auth/approle/login",
		map[string]any{"role_id": credentials.RoleID, "secret_id": credentials.SecretID})
	require.NoError(o.t, err)
	return answer.Auth.ClientToken
}
