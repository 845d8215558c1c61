// SPDX-License-Identifier: AGPL-3.0-only

package juju

import (
	"fmt"
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

// parseSecretURI reads how an option's value names a secret: as Juju prints it ("secret:<id>"), or with the model that it
// is in ("secret://<model's UUID>/<id>"). Options that do are of type string: Juju before 3.3 deploys no charm with one of
// type secret, whose values look the same.
func parseSecretURI(value string) (model, id string, is bool) {
	id, is = strings.CutPrefix(value, "secret:")
	if rest, elsewhere := strings.CutPrefix(id, "//"); elsewhere {
		model, id, _ = strings.Cut(rest, "/")
		is = is && isUUID(model)
	}
	return model, id, is && len(id) == 20 && strings.TrimLeft(id, "0123456789abcdefghijklmnopqrstuvwxyz") == ""
}

// isUUID reports whether a text is a UUID as Juju writes them, in small letters.
func isUUID(text string) bool {
	groups := strings.Split(text, "-")
	return slices.EqualFunc(groups, []int{8, 4, 4, 4, 12}, func(group string, length int) bool {
		return len(group) == length && strings.TrimLeft(group, "0123456789abcdef") == ""
	})
}

// SecretsNamed gives the option values that name a secret: a secret's URI and nothing else, but for white space around it,
// which Config.Text cuts off as well. They are sorted, and each is there once.
func SecretsNamed(config map[string]any) []string {
	var named []string
	for _, value := range config {
		text, _ := value.(string)
		if text = strings.TrimSpace(text); IsSecretURI(text) {
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
		model, id, _ := parseSecretURI(named)
		uri := "secret:" + id
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
func IsSecretURI(value string) bool {
	_, _, is := parseSecretURI(value)
	return is
}
