// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io/fs"
	"maps"
	"strings"
)

// What an operator types about secrets, and what becomes of their contents: nobody but Juju keeps them.

// addSecret prints the URI, as Juju does.
func (s *story) addSecret(_ context.Context, w *bytes.Buffer, args []string) error {
	content, err := secretContent(args[1:])
	if err != nil {
		return err
	}
	uri, err := s.stage.model().AddUserSecret(args[0], content)
	fmt.Fprintln(w, uri)
	return err
}

func (s *story) updateSecret(_ context.Context, _ *bytes.Buffer, args []string) error {
	content, err := secretContent(args[1:])
	if err != nil {
		return err
	}
	return s.stage.model().UpdateUserSecret(args[0], content)
}

func (s *story) grantSecret(_ context.Context, _ *bytes.Buffer, args []string) error {
	return s.stage.model().GrantUserSecret(args[0], strings.Split(args[1], ",")...)
}

func (s *story) revokeSecret(_ context.Context, _ *bytes.Buffer, args []string) error {
	return s.stage.model().RevokeUserSecret(args[0], strings.Split(args[1], ",")...)
}

// removeSecret remembers what it removes, for the sweep.
func (s *story) removeSecret(_ context.Context, _ *bytes.Buffer, args []string) error {
	given, err := s.given()
	if err != nil {
		return err
	}
	maps.Copy(s.removed, given)
	return s.stage.model().RemoveUserSecret(args[0])
}

// updateStatus has a unit run the hook that Juju runs every five minutes.
func (s *story) updateStatus(_ context.Context, _ *bytes.Buffer, args []string) error {
	return s.stage.runner.Order(args[0], "update-status")
}

// secretContent reads key=value pairs.
func secretContent(pairs []string) (map[string]string, error) {
	content := map[string]string{}
	for _, pair := range pairs {
		key, value, found := strings.Cut(pair, "=")
		if !found {
			return nil, fmt.Errorf("key value %q not valid", key)
		}
		content[key] = value
	}
	return content, nil
}

// shortestGiven is how long a value of an operator's secret must be in a story: what is shorter may be anywhere by chance,
// and could not be looked for.
const shortestGiven = 8

// given are the values of all secrets that the operator has ever kept in the model, whatever revision, whoever may read
// them, in clear and as Juju encodes them. Certificates are public.
func (s *story) given() (map[string]string, error) {
	found := maps.Clone(s.removed)
	for i, minted := range s.mintedByVault() {
		found[fmt.Sprintf("Vault's credential %d", i)] = minted
	}
	model := s.stage.model()
	for _, secret := range model.Secrets("") {
		for _, revision := range secret.Revisions {
			content, err := model.RevealRevision(secret.URI, revision)
			if err != nil {
				return nil, err
			}
			for key, value := range content {
				what := fmt.Sprintf("%s of the operator's secret %s, revision %d", key, secret.Label, revision)
				if err := noteGiven(found, what, value); err != nil {
					return nil, err
				}
			}
		}
	}
	return found, nil
}

// noteGiven notes a value, and of one of several lines each that is long enough: they may be written one by one.
func noteGiven(found map[string]string, what, value string) error {
	value = strings.TrimSpace(value)
	if strings.Contains(value, "-----BEGIN") && !strings.Contains(value, "PRIVATE KEY") {
		return nil
	}
	if len(value) < shortestGiven {
		return fmt.Errorf("the %s is too short to be looked for: use %d characters or more", what, shortestGiven)
	}
	found[what] = value
	found[what+", in base64"] = base64.StdEncoding.EncodeToString([]byte(value))
	for i, line := range strings.Split(value, "\n") {
		if line = strings.TrimSpace(line); line != value && len(line) >= shortestGiven && !strings.HasPrefix(line, "-----") {
			found[fmt.Sprintf("%s, line %d", what, i+1)] = line
		}
	}
	return nil
}

// allTexts are the open texts and every file of the units' states and machines, whoever may read it: what an operator
// keeps in a secret is read anew at each turn. What operators brought to a machine is theirs to mind.
func (s *story) allTexts(open map[string]string) map[string]string {
	texts := maps.Clone(open)
	s.eachFile(func(path string, _ fs.FileMode, text string) {
		if !strings.Contains(path, "/root/") {
			texts[path] = text
		}
	})
	return texts
}
