// SPDX-License-Identifier: AGPL-3.0-only

package provider

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/order"
)

// vaultSettings say how Vault is reached, and whether new CAs are made there.
type vaultSettings struct {
	Use         bool
	Addresses   []string
	CA          string // PEM
	Namespace   string
	Mount       string
	LoginMount  string
	Roles       map[string]string // by kind, and "" for all others
	Credentials string            // URI of the operator's secret
}

// The operator's secret has AppRole's role-id with a secret-id, plain or wrapped, or a wrapped token alone.
const (
	roleIDMember         = "role-id"
	secretIDMember       = "secret-id"
	wrappedSecretMember  = "wrapped-secret-id"
	wrappedTokenMember   = "wrapped-token"
	unwrappedLabel       = "vault" // own secret: what was behind a wrapping token, for Vault gives it once
	unwrappedFromMember  = "unwrapped-from"
	unwrappedValueMember = "credential"
)

// readVault reads the options of Vault. They hold for the CAs that are there, whatever authority says of new ones.
func readVault(config *juju.Config, use bool) vaultSettings {
	settings := vaultSettings{
		Use:         use,
		Addresses:   config.Words("vault-address"),
		CA:          config.Text("vault-ca", ""),
		Namespace:   strings.Trim(config.Text("vault-namespace", ""), "/ "),
		Mount:       strings.Trim(config.Text("vault-mount", "pki"), "/ "),
		LoginMount:  strings.Trim(config.Text("vault-auth-mount", "approle"), "/ "),
		Roles:       map[string]string{},
		Credentials: config.Text("vault-credentials", ""),
	}
	for _, address := range settings.Addresses {
		if parsed, err := url.Parse(address); err != nil || parsed.Scheme != "https" || parsed.Host == "" || parsed.User != nil || parsed.RawQuery != "" {
			config.Refuse("vault-address", "%q is not a URL such as https://vault.example.com:8200", address)
		}
	}
	if settings.CA != "" {
		if _, err := cert.ParseCertificates(settings.CA); err != nil {
			config.Refuse("vault-ca", "%v: give the PEM text, as with vault-ca=@ca.pem", err)
		}
	}
	for _, option := range []struct{ name, value string }{{"vault-mount", settings.Mount}, {"vault-auth-mount", settings.LoginMount}, {"vault-namespace", settings.Namespace}} {
		if strings.ContainsFunc(option.value, notPath) || strings.Contains(option.value, "..") || option.value == "" && option.name != "vault-namespace" {
			config.Refuse(option.name, "%q is not a path of Vault's, such as pki or clusters/pki", option.value)
		}
	}
	kinds := []string{string(cert.Server), string(cert.Client), string(cert.Application), string(cert.Responder)}
	for _, word := range strings.Fields(config.Text("vault-role", "signet")) {
		kind, role, named := strings.Cut(word, "=")
		if !named {
			kind, role = "", word
		}
		if named && !slices.Contains(kinds, kind) || role == "" || strings.ContainsFunc(role, notPath) || strings.Contains(role, "/") {
			config.Refuse("vault-role", "%q is neither a role nor one of server=, client=, application=, responder= with a role", word)
		}
		settings.Roles[kind] = role
	}
	if settings.Credentials != "" && !juju.IsSecretURI(settings.Credentials) {
		config.Refuse("vault-credentials", "is not the URI of a secret, as juju add-secret prints it; credentials themselves do not belong there")
	}
	return settings
}

func notPath(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_./", r)
}

// place is where new CAs are made.
func (v vaultSettings) place() order.Place {
	return order.Place{Namespace: v.Namespace, Mount: v.Mount}
}

// name is how the record calls where a CA was made; empty for here.
func (v vaultSettings) name() string {
	if !v.Use {
		return ""
	}
	return strings.TrimPrefix(v.Namespace+"/"+v.Mount, "/")
}

// vaultAt is a place with what reaches it; false while that is not known, which is reported.
func (s *step) vaultAt(place order.Place) (order.Vault, bool) {
	if s.login == nil {
		login := s.logIn()
		s.login = &login
		if login.Unavailable != "" {
			s.report(juju.Blocked, "cannot log in to Vault: %s", login.Unavailable)
		}
	}
	vault := *s.login
	vault.Place = place
	return vault, vault.Unavailable == "" && (!vault.RoleID.IsZero() || !vault.Token.IsZero())
}

// logIn gathers what it takes to reach Vault.
func (s *step) logIn() order.Vault {
	settings := s.settings.Vault
	vault := order.Vault{
		Place: settings.place(), Addresses: settings.Addresses, CA: settings.CA, Roles: settings.Roles, LoginMount: settings.LoginMount,
	}
	given, named := s.snap.Given[settings.Credentials]
	missing := func(format string, args ...any) order.Vault {
		s.wake(s.now.Add(time.Minute)) // Juju tells nobody of a secret that was granted
		vault.Unavailable = fmt.Sprintf(format, args...)
		return vault
	}
	app := s.snap.Application()
	switch {
	case len(settings.Addresses) == 0:
		return missing("set vault-address")
	case settings.Credentials == "":
		return missing("run juju add-secret vault role-id=… secret-id=…, juju grant-secret vault %s, and set vault-credentials to the "+
			"URI that the first printed", app)
	case named && given.Content == nil && given.Problem != "":
		return missing("%s", given.Problem)
	case given.Content == nil:
		return missing("the secret that vault-credentials names cannot be read: run juju grant-secret %s %s", settings.Credentials, app)
	}
	roleID, secretID := given.Content[roleIDMember], given.Content[secretIDMember]
	wrappedSecret, wrappedToken := given.Content[wrappedSecretMember], given.Content[wrappedTokenMember]
	switch {
	case roleID != "" && secretID != "" && wrappedSecret == "" && wrappedToken == "":
		vault.RoleID, vault.SecretID = credential(roleID), credential(secretID)
	case roleID != "" && wrappedSecret != "" && secretID == "" && wrappedToken == "":
		if found := s.unwrapped(vault, credential(wrappedSecret), true); !found.IsZero() {
			vault.RoleID, vault.SecretID = credential(roleID), found
		}
	case wrappedToken != "" && roleID == "" && secretID == "" && wrappedSecret == "":
		vault.Token = s.unwrapped(vault, credential(wrappedToken), false)
	default:
		return missing("the secret that vault-credentials names has the members %s: give it role-id with secret-id or wrapped-secret-id, or "+
			"wrapped-token alone, with juju update-secret", strings.Join(slices.Sorted(maps.Keys(given.Content)), ", "))
	}
	return vault
}

// credential takes the line end off that a file brings along.
func credential(text string) cert.Key { return cert.NewKey(strings.TrimSpace(text)) }

// unwrapped gives what a wrapping token is for; zero while that is not known, which is reported where it is for good. It is
// kept in a secret of the application's: Vault gives it once, and another leader needs it too.
func (s *step) unwrapped(vault order.Vault, wrapped cert.Key, secretID bool) cert.Key {
	sum := sha256.Sum256([]byte(wrapped.Reveal()))
	from := hex.EncodeToString(sum[:])
	if kept, found := s.snap.Secret(unwrappedLabel); found && kept.Content[unwrappedFromMember] == from {
		return cert.NewKey(kept.Content[unwrappedValueMember])
	}
	if !s.snap.Leader {
		return cert.Key{}
	}
	answer, done := s.obtain(order.Unwrap{Vault: vault, Wrapped: wrapped, SecretID: secretID})
	switch {
	case done:
		s.decision.Secrets = append(s.decision.Secrets, juju.Secret{
			Label: unwrappedLabel, Owner: juju.OwnedByApplication,
			Content: map[string]string{unwrappedFromMember: from, unwrappedValueMember: answer.Key.Reveal()},
		})
		return answer.Key
	case answer.Failure != nil:
		s.vaultFails(answer)
	}
	return cert.Key{}
}

// vaultFails reports what Vault cannot do, and when it is tried again.
func (s *step) vaultFails(answer order.Answer) {
	level := juju.Blocked
	if answer.Failure.Passes() {
		level = juju.Waiting
	}
	s.report(level, "%s", answer.Failure.Message)
	s.tryAgain(answer)
}
