// SPDX-License-Identifier: AGPL-3.0-only

package vault

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Setup is what an operator grants to an application in Vault.
type Setup struct {
	Name          string        // of the policy and the AppRole
	Namespace     string        // of Vault Enterprise; empty for none
	Mount         string        // of the PKI engine
	Role          string        // of the engine, by whose limits of time certificates are signed
	LoginMount    string        // of the AppRole method
	Life          time.Duration // the longest that a certificate may have
	CALife        time.Duration // of the engine's CA, and so the longest of anything there
	MayCreate     bool          // the application may have CAs made; else an operator makes them
	MayCertifyCAs bool          // it may sign CA certificates, for intermediate-applications
	URL           string        // where the application serves revocation lists; empty for none
}

// Policy is the least that the application needs, as Vault's policies are written (HCL). What every token may do, as renew
// itself, is in Vault's policy "default".
func (s Setup) Policy() string {
	var text strings.Builder
	fmt.Fprintf(&text, "# What signet needs of the PKI engine at %s: no private key, no role, no other secret.\n", s.Mount)
	grant := func(comment string, rules ...string) {
		fmt.Fprintf(&text, "\n# %s\n", comment)
		for _, rule := range rules {
			capability, path, _ := strings.Cut(rule, " ")
			fmt.Fprintf(&text, "path %q {\n  capabilities = [%q]\n}\n", s.Mount+"/"+path, capability)
		}
	}
	grant("Sign certificates. A role's rules of names would not hold here: signet's own policy decides.",
		"update sign-verbatim/"+s.Role, "update issuer/+/sign-verbatim/"+s.Role)
	grant("Read the CA, its chain and its revocation list, and find a certificate whose answer was lost.",
		"read cert/*", "read issuer/+/json", "read issuer/+/crl", "list certs")
	grant("Revoke, and have the list made at once.", "update revoke", "read crl/rotate")
	if s.MayCreate {
		grant("Have a CA made, or certified by another one; signet asks for none where there is one.",
			"update root/generate/internal", "update intermediate/generate/internal", "update intermediate/set-signed")
	}
	if s.MayCertifyCAs {
		grant("Certify CAs of the applications that intermediate-applications names.",
			"update root/sign-intermediate", "update issuer/+/sign-intermediate")
	}
	return text.String()
}

// Step is one thing to be done in Vault with an administrator's token.
type Step struct {
	Why     string
	Path    string         // to be written
	Data    map[string]any // what is written
	Command string         // the same for a shell
	Once    bool           // that it is there already is no failure
}

// Steps make the engine, the role, the policy and the AppRole.
func (s Setup) Steps() []Step {
	hours := func(life time.Duration) string { return fmt.Sprintf("%dh", int64(life/time.Hour)) }
	role := map[string]any{
		"max_ttl": hours(s.Life), "ttl": hours(s.Life), "generate_lease": false, "no_store": false, "allow_localhost": false, "key_type": "any",
	}
	steps := []Step{
		{
			Why: "a PKI engine of its own, whose CA may live that long", Path: "sys/mounts/" + s.Mount, Once: true,
			Data:    map[string]any{"type": "pki", "config": map[string]any{"max_lease_ttl": hours(s.CALife)}},
			Command: fmt.Sprintf("vault secrets enable -path=%s -max-lease-ttl=%s pki", s.Mount, hours(s.CALife)),
		},
		{
			Why: "the limits of certificates; the role allows no name, so that nobody signs by it but as signet does", Path: s.Mount + "/roles/" + s.Role,
			Data: role, Command: fmt.Sprintf("vault write %s/roles/%s %s", s.Mount, s.Role, arguments(role)),
		},
		{
			Why: "the least that signet needs", Path: "sys/policies/acl/" + s.Name, Data: map[string]any{"policy": s.Policy()},
			Command: fmt.Sprintf("vault policy write %s - <<'EOF'\n%sEOF", s.Name, s.Policy()),
		},
		{
			Why: "logging in by AppRole", Path: "sys/auth/" + s.LoginMount, Data: map[string]any{"type": "approle"}, Once: true,
			Command: fmt.Sprintf("vault auth enable -path=%s approle", s.LoginMount),
		},
		{
			Why: "signet's AppRole, whose tokens last an hour", Path: fmt.Sprintf("auth/%s/role/%s", s.LoginMount, s.Name),
			// Vault before 1.2 knows the second name only.
			Data: map[string]any{"token_policies": s.Name, "policies": s.Name, "token_ttl": "1h", "token_max_ttl": "24h"},
			Command: fmt.Sprintf("vault write auth/%s/role/%s token_policies=%s token_ttl=1h token_max_ttl=24h",
				s.LoginMount, s.Name, s.Name),
		},
	}
	if s.URL != "" {
		urls := map[string]any{"crl_distribution_points": s.URL + "/crl/1.crl", "ocsp_servers": s.URL + "/ocsp", "issuing_certificates": s.URL + "/ca/1.crt"}
		steps = slices.Insert(steps, 1, Step{
			Why: "where certificates say that the list is: at signet, for Vault may be out of reach of who asks", Path: s.Mount + "/config/urls",
			Data: urls, Command: fmt.Sprintf("vault write %s/config/urls %s", s.Mount, arguments(urls)),
		})
	}
	return steps
}

// RoleIDPath and SecretIDPath are what an operator reads, and writes, for the credentials.
func (s Setup) RoleIDPath() string {
	return fmt.Sprintf("auth/%s/role/%s/role-id", s.LoginMount, s.Name)
}

// SecretIDPath makes a secret-id with each write.
func (s Setup) SecretIDPath() string {
	return fmt.Sprintf("auth/%s/role/%s/secret-id", s.LoginMount, s.Name)
}

// arguments are what "vault write" takes.
func arguments(data map[string]any) string {
	var words []string
	for _, name := range slices.SortedFunc(maps.Keys(data), cmp.Compare[string]) {
		words = append(words, fmt.Sprintf("%s=%v", name, data[name]))
	}
	return strings.Join(words, " ")
}
