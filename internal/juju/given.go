// SPDX-License-Identifier: AGPL-3.0-only

package juju

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Given is one secret of the model's operator ("juju add-secret") in its latest revision, or why this unit cannot read it.
//
// Who has read it once is told of each new revision ("juju update-secret") and of its end ("juju remove-secret"): the
// agent by its watcher; a unit without one by the hook secret-changed, and of the end not at all. Juju tells nobody of
// "juju grant-secret" and "juju revoke-secret": what they change is seen at the next turn for any other reason, at the
// latest by the hook update-status, every five minutes unless the model says otherwise. So grant first, and then set the
// option, whose hook config-changed finds the secret readable.
type Given struct {
	Content map[string]string // nil when it cannot be read
	Problem string            // why, and what to do about it: "… run juju grant-secret …"; empty when it can be read
}

// secretURI is how an option's value names a secret: as Juju prints it, or with the model that it is in. Options that do
// are of type string: Juju before 3.3 deploys no charm with one of type secret, whose values look the same.
var secretURI = regexp.MustCompile(`^secret:(?://([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/)?([0-9a-z]{20})$`)

// SecretsNamed gives the option values that name a secret: a secret's URI and nothing else, but for white space around it,
// which Config.Text cuts off as well. They are sorted, and each is there once.
func SecretsNamed(config map[string]any) []string {
	var named []string
	for _, value := range config {
		text, _ := value.(string)
		if text = strings.TrimSpace(text); secretURI.MatchString(text) {
			named = append(named, text)
		}
	}
	slices.Sort(named)
	return slices.Compact(named)
}

// Give fills in the secrets that options name, by their values. It is for sessions, once they know the options and whether
// this Juju has secrets. What it reads is called "secret:<id>", whatever the option says; an error is about Juju and not
// about a secret, and ends it.
func (s *Snapshot) Give(read func(uri string) (Given, error)) error {
	for _, named := range SecretsNamed(s.Config) {
		parts := secretURI.FindStringSubmatch(named)
		model, uri := parts[1], "secret:"+parts[2]
		var given Given
		switch {
		case !s.CanSecrets:
			given = WithoutSecrets(uri)
		case model != "" && s.ModelUUID != "" && model != s.ModelUUID: // Juju shares secrets of applications only
			given = Unreadable(uri, "it is another model's: run juju add-secret in this one")
		default:
			var err error
			if given, err = read(uri); err != nil {
				return err
			}
		}
		if s.Given == nil {
			s.Given = map[string]Given{}
		}
		s.Given[named] = given
	}
	return nil
}

// WithoutSecrets is a secret in a Juju that has none.
func WithoutSecrets(uri string) Given {
	return Given{Problem: fmt.Sprintf("this Juju has no secrets: reading %s takes Juju 3.3 or later", uri)}
}

// NotGranted is a secret that the operator has not let the application read.
func NotGranted(uri, app string) Given {
	return Given{Problem: fmt.Sprintf("%s cannot be read by this application: run juju grant-secret %s %s", uri, strings.TrimPrefix(uri, "secret:"), app)}
}

// NoSuchSecret is a secret that is not there, or not any more.
func NoSuchSecret(uri string) Given {
	return Given{Problem: uri + " does not exist: run juju add-secret, and set the option to what it prints"}
}

// Unreadable is a secret that cannot be read for another cause, which never holds its content.
func Unreadable(uri, cause string) Given {
	return Given{Problem: fmt.Sprintf("%s cannot be read: %s", uri, cause)}
}

// IsSecretURI reports whether an option's value names a secret.
func IsSecretURI(value string) bool { return secretURI.MatchString(value) }
