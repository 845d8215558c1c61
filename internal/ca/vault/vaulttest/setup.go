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
func (s *Server) Prepare(mount string, intermediate bool, policy string) Credentials {
	s.t.Helper()
	s.Mount(mount)
	if intermediate {
		root := mount + "-root"
		s.Mount(root)
		s.MakeRoot(root)
		s.MakeIntermediate(mount, root)
	} else {
		s.MakeRoot(mount)
	}
	return s.AppRole(mount, policy)
}

// Mount mounts a PKI engine that has no CA yet.
func (s *Server) Mount(mount string) {
	s.t.Helper()
	s.write("sys/mounts/"+mount, map[string]any{"type": "pki", "config": map[string]any{"max_lease_ttl": decade}})
}

// MakeRoot has an engine make a root CA, and gives its certificate in PEM.
func (s *Server) MakeRoot(mount string) string {
	s.t.Helper()
	answer := s.write(mount+"/root/generate/internal", subject(mount))
	return s.text(answer, "certificate")
}

// MakeIntermediate has an engine make a CA that another engine's signs, and gives its certificate in PEM.
func (s *Server) MakeIntermediate(mount, root string) string {
	s.t.Helper()
	request := subject(mount)
	request["csr"] = s.text(s.write(mount+"/intermediate/generate/internal", subject(mount)), "csr")
	signed := s.write(root+"/root/sign-intermediate", request)
	certificate := s.text(signed, "certificate")
	s.write(mount+"/intermediate/set-signed", map[string]any{"certificate": certificate + "\n" + s.text(signed, "issuing_ca")})
	return certificate
}

// subject is what is asked of Vault for a CA of this mount.
func subject(mount string) map[string]any {
	return map[string]any{"common_name": "CA of " + mount, "organization": "Example", "key_type": "ec", "key_bits": 256, "ttl": "43800h"}
}

// AppRole makes an AppRole of this name with a policy of the same name, and gives a secret-id of it.
func (s *Server) AppRole(name, policy string) Credentials {
	s.t.Helper()
	mounts, err := s.Root().Sys().ListAuthWithContext(s.context())
	require.NoError(s.t, err)
	if !slices.Contains(slices.Collect(maps.Keys(mounts)), "approle/") {
		s.write("sys/auth/approle", map[string]any{"type": "approle"})
	}
	s.write("sys/policy/"+name, map[string]any{"policy": policy})
	role := "auth/approle/role/" + name
	s.write(role, map[string]any{"token_policies": name, "policies": name})
	answer, err := s.Root().Logical().ReadWithContext(s.context(), role+"/role-id")
	require.NoError(s.t, err)
	return Credentials{
		RoleID:   s.text(answer.Data, "role_id"),
		SecretID: s.text(s.write(role+"/secret-id", nil), "secret_id"),
	}
}

// Wrap writes to a path of Vault's as root, and gives a token that tells the answer once: a wrapped secret-id, or a wrapped
// token.
func (s *Server) Wrap(path string, data map[string]any) string {
	s.t.Helper()
	client := s.Root()
	client.SetWrappingLookupFunc(func(string, string) string { return "300s" })
	answer, err := client.Logical().WriteWithContext(s.context(), path, data)
	require.NoError(s.t, err, "%s", path)
	return answer.WrapInfo.Token
}

// Login logs in, and gives the token.
func (s *Server) Login(credentials Credentials) string {
	s.t.Helper()
	answer, err := s.Client("").Logical().WriteWithContext(s.context(), "auth/approle/login",
		map[string]any{"role_id": credentials.RoleID, "secret_id": credentials.SecretID})
	require.NoError(s.t, err)
	return answer.Auth.ClientToken
}
