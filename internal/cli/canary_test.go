// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A sighting is a secret at a place where anybody may look.
type sighting struct{ place, secret string }

// leaks looks for secrets, told by what they are of, in texts, told by where they are. A private key in PEM is no text for
// any of them, whosever it is.
func leaks(secrets, texts map[string]string) []sighting {
	found := sightings(secrets, texts)
	for place, text := range texts {
		if strings.Contains(text, "PRIVATE KEY-----") {
			found = append(found, sighting{place, "some private key"})
		}
	}
	return inPlaces(found)
}

// sightings looks likewise, in texts that may hold private keys.
func sightings(secrets, texts map[string]string) []sighting {
	var found []sighting
	for place, text := range texts {
		for what, secret := range secrets {
			if strings.Contains(text, secret) {
				found = append(found, sighting{place, what})
			}
		}
	}
	return inPlaces(found)
}

func inPlaces(found []sighting) []sighting {
	slices.SortFunc(found, func(a, b sighting) int {
		return cmp.Or(strings.Compare(a.place, b.place), strings.Compare(a.secret, b.secret))
	})
	return found
}

// sweep is the end of each story: whatever happened in it, no secret is where it must not be. Stories issue and renew,
// refuse, take over, back up under passphrases and identities, exchange providers, and let orders of all kinds fail.
func (s *story) sweep() error {
	secrets := s.secrets()
	texts, err := s.openTexts()
	if err != nil {
		return err
	}
	if folders, _ := filepath.Glob(filepath.Join(s.stage.dir, "state", "*", "journal")); len(folders) > 0 && len(secrets) == 0 {
		return fmt.Errorf("no secret was found to look for, though units have state: the sweep looks in the wrong places")
	}
	given, err := s.given()
	if err != nil {
		return err
	}
	if found := append(leaks(secrets, texts), sightings(given, s.allTexts(texts))...); len(found) > 0 {
		return fmt.Errorf("secrets are in the open: %v", found)
	}
	return nil
}

// secrets are all that the story knows and nobody may see: what Juju keeps as secrets for signet, the passwords of unit
// agents, the keys on the units' disks, and what operators brought to open archives. What is short may be anywhere by
// chance.
func (s *story) secrets() map[string]string {
	found := map[string]string{}
	note := func(what, text string) {
		public := publicHalves(text)
		for i, line := range strings.Split(text, "\n") {
			if decoded, err := base64.StdEncoding.DecodeString(strings.TrimSpace(line)); err == nil && bytes.Contains(public, decoded) {
				continue // a certificate may hold the same, at the same place of a line
			}
			// Of a key in PEM, the first line is much the same for all.
			if line = strings.TrimSpace(line); len(line) >= 16 && !strings.HasPrefix(line, "-----") && !strings.HasPrefix(line, "MIG") {
				found[fmt.Sprintf("%s, line %d", what, i+1)] = line
			}
		}
	}
	model := s.stage.model()
	for _, app := range model.Applications() {
		for _, owner := range append(model.Units(app), app) {
			for _, secret := range model.Secrets(owner) {
				content, err := model.RevealSecret(secret.URI)
				if err != nil {
					continue
				}
				for member, text := range content {
					if strings.Contains(text, "PRIVATE KEY") || !strings.Contains(text, "-----BEGIN") {
						note("secret "+secret.Label+" "+member, text)
					}
				}
			}
		}
		for _, unit := range model.Units(app) {
			conf, _ := os.ReadFile(s.stage.controller.AgentConf(unit))
			for _, match := range regexp.MustCompile(`(?m)^(?:api|old)password: (.+)$`).FindAllStringSubmatch(string(conf), -1) {
				note("password of "+unit, match[1])
			}
		}
	}
	s.eachFile(func(path string, _ fs.FileMode, text string) {
		if strings.HasPrefix(text, "-----BEGIN PRIVATE KEY") || strings.HasPrefix(text, "-----BEGIN EC PRIVATE KEY") {
			note("key "+path, text)
		}
		for _, identity := range regexp.MustCompile(`AGE-SECRET-KEY-1[0-9A-Z]+`).FindAllString(text, -1) {
			note("identity "+path, identity)
		}
	})
	return found
}

// publicHalves give what keys in PEM say that their certificates say as well; nothing of what is no key.
func publicHalves(text string) []byte {
	var halves []byte
	for block, rest := pem.Decode([]byte(text)); block != nil; block, rest = pem.Decode(rest) {
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if signer, ok := key.(crypto.Signer); err == nil && ok {
			public, _ := x509.MarshalPKIXPublicKey(signer.Public())
			halves = append(halves, public...)
		}
	}
	return halves
}

// openTexts are all that others than root may come to see: logs, statuses, unit states, databags but for the keys that the
// legacy dialect hands out in them, results of actions, arguments of the machine's programs, and files on disk that
// everybody may read, or that are copied about (the journal).
func (s *story) openTexts() (map[string]string, error) {
	texts := map[string]string{"the agents' log": s.stage.log.String(), "results of actions": s.told.String()}
	for i, line := range s.stage.runner.Log() {
		texts[fmt.Sprintf("hook log, line %d", i+1)] = fmt.Sprint(line)
	}
	model := s.stage.model()
	for _, app := range model.Applications() {
		for _, unit := range model.Units(app) {
			if !s.isSignet(unit) {
				continue // others may publish what they like
			}
			status, err := model.UnitStatus(unit)
			if err != nil {
				return nil, err
			}
			texts["status of "+unit] = status.Message
			state, err := model.State(unit)
			if err != nil {
				return nil, err
			}
			texts["state of "+unit] = fmt.Sprint(state)
			for _, relation := range model.Relations(app) {
				for owner, bag := range map[string]map[string]string{unit: model.UnitBag(relation.ID, unit), app: model.AppBag(relation.ID, app)} {
					for key, value := range bag {
						if relation.Endpoint.Interface != tlsInterface || !handsOutKeys.MatchString(key) {
							texts[fmt.Sprintf("databag of %s in %s, %s", owner, relation.Key, key)] = value
						}
					}
				}
			}
		}
	}
	s.eachFile(func(path string, mode fs.FileMode, text string) {
		brought := strings.Contains(path, "/root/") // by an operator, who minds them
		if mode.Perm()&0o007 != 0 && !brought || filepath.Base(path) == "journal" || filepath.Base(path) == "programs" {
			texts[path] = text
		}
	})
	return texts, nil
}

// handsOutKeys are the keys of a legacy provider's databag in which the dialect wants private keys.
var handsOutKeys = regexp.MustCompile(`(^|\.)(server|client)\.key$|(^|\.)processed_(client_|application_|intermediate_)?(cert_)?requests$`)

func (s *story) isSignet(unit string) bool {
	_, err := os.Stat(s.stage.stateDir(unit))
	return err == nil
}

// eachFile gives the files of the units' states and machines.
func (s *story) eachFile(visit func(path string, mode fs.FileMode, text string)) {
	for _, folder := range []string{"state", "machines"} {
		_ = filepath.WalkDir(filepath.Join(s.stage.dir, folder), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() {
				return nil //nolint:nilerr // a file that went meanwhile, or a socket
			}
			info, err := entry.Info()
			if err != nil {
				return nil //nolint:nilerr // likewise
			}
			if text, err := os.ReadFile(path); err == nil {
				visit(path, info.Mode(), string(text))
			}
			return nil
		})
	}
}

func TestASecretInTheOpenIsSeen(t *testing.T) {
	t.Parallel()
	secrets := map[string]string{"password": "correct-horse-battery"}
	require.Empty(t, leaks(secrets, map[string]string{"log": "all is well", "status": "correct horse"}))
	require.Equal(t, []sighting{{"log", "password"}, {"status", "some private key"}}, leaks(secrets, map[string]string{
		"log": `msg="cannot log in" password=correct-horse-battery`, "status": "blocked: -----BEGIN EC PRIVATE KEY-----",
	}))
	require.Equal(t, []sighting{{"the CA's file", "password"}}, sightings(secrets, map[string]string{
		"the CA's file": "-----BEGIN EC PRIVATE KEY-----\ncorrect-horse-battery", "another file": "-----BEGIN EC PRIVATE KEY-----",
	}))
	given := map[string]string{}
	require.NoError(t, noteGiven(given, "token", "first-line\nsecond-line\nno\n"))
	require.NoError(t, noteGiven(given, "ca", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"))
	require.Equal(t, map[string]string{
		"token": "first-line\nsecond-line\nno", "token, in base64": "Zmlyc3QtbGluZQpzZWNvbmQtbGluZQpubw==",
		"token, line 1": "first-line", "token, line 2": "second-line",
	}, given)
	require.EqualError(t, noteGiven(given, "pin", "1234567\n"), "the pin is too short to be looked for: use 8 characters or more")
	for key, hands := range map[string]bool{
		"etcd_0.server.key": true, "client.key": true, "etcd_0.processed_requests": true, "etcd_0.processed_client_requests": true,
		"ca": false, "sealed.3.etcd_0": false, "authority": false, "certificates": false, "request_errors": false,
	} {
		require.Equal(t, hands, handsOutKeys.MatchString(key), key)
	}
}
