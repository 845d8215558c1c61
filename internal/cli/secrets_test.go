// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"
)

// What an operator types stands in a shell's history, in argv for all to read, and in the controller's database. So no
// flag, parameter or option takes a secret itself: only the path of a file with it.

// secretWords tell that something is about a secret.
var secretWords = regexp.MustCompile(`(?i)\b(passwords?|passphrases?|secret|private|keys?|tokens?|identit(y|ies)|credentials?|pkcs ?#?12)\b`)

// asksForSecret reports whether a flag, parameter or option may want a secret's value: its name or its description is about
// one, and it does not name a file, nor is it one of those that are about public things.
func asksForSecret(name, description string) bool {
	words := strings.ReplaceAll(name, "-", " ")
	if strings.HasSuffix(name, "-path") || strings.HasSuffix(name, "-file") || strings.HasPrefix(strings.ToLower(description), "file with ") {
		return false
	}
	return secretWords.MatchString(words) || secretWords.MatchString(description)
}

// publicAfterAll are about keys and identities, and take none.
func publicAfterAll() map[string]string {
	return map[string]string{
		"backup recipients": "public keys of age; a secret one is refused without being repeated",
		"backup recipient":  "likewise, on the command line",
		"export key":        "whether the unit's own private key is written as well",
		"revoke reason":     "what becomes of the key",
		"renew new-key":     "whether there is a new one",
	}
}

func TestNoFlagTakesASecret(t *testing.T) {
	t.Parallel()
	flags := 0
	var visit func(*cobra.Command)
	visit = func(command *cobra.Command) {
		command.Flags().VisitAll(func(flag *pflag.Flag) {
			flags++
			if publicAfterAll()[command.Name()+" "+flag.Name] != "" {
				return
			}
			require.False(t, asksForSecret(flag.Name, flag.Usage), "%s --%s: take the path of a file instead", command.CommandPath(), flag.Name)
		})
		for _, below := range command.Commands() {
			visit(below)
		}
	}
	visit((&program{args: []string{"signet"}, lookup: func(string) string { return "" }}).root())
	require.Greater(t, flags, 4, "no flags were found")
}

func TestNoActionTakesASecret(t *testing.T) {
	t.Parallel()
	parameters := 0
	for _, path := range []string{"../../actions.yaml", "../../charms/node/actions.yaml"} {
		text, err := os.ReadFile(filepath.FromSlash(path))
		if os.IsNotExist(err) {
			continue // a charm need not have actions
		}
		require.NoError(t, err)
		var actions map[string]struct {
			Params map[string]struct{ Description string }
		}
		require.NoError(t, yaml.Unmarshal(text, &actions))
		for action, wants := range actions {
			for name, parameter := range wants.Params {
				parameters++
				if publicAfterAll()[action+" "+name] == "" {
					require.False(t, asksForSecret(name, parameter.Description), "action %s, parameter %s: take the path of a file instead", action, name)
				}
			}
		}
	}
	require.Greater(t, parameters, 20, "no parameters were found")
}

// TestNoOptionTakesASecret looks at the names only: descriptions of options tell what becomes of keys.
func TestNoOptionTakesASecret(t *testing.T) {
	t.Parallel()
	about := regexp.MustCompile(`^(ca-|certificate-)?key-(type|mode)$|^rotate-key-on-renewal$|^(ca|certificate)-key-type$|^kubeconfig-credentials$|^vault-credentials$`) // the last wants a secret's URI
	text, err := os.ReadFile("../../config.yaml")
	require.NoError(t, err)
	var file struct{ Options map[string]any }
	require.NoError(t, yaml.Unmarshal(text, &file))
	require.NotEmpty(t, file.Options)
	for name := range file.Options {
		require.False(t, asksForSecret(name, "") && !about.MatchString(name), "option %s: take a Juju secret instead", name)
	}
}

func TestWhatAsksForASecretIsSeen(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, description string
		asks              bool
	}{
		{"passphrase", "Opens the archive.", true},
		{"unlock", "The passphrase that opens it.", true},
		{"identity", "Age identity.", true},
		{"api-token", "For the controller.", true},
		{"pem", "The CA's private key.", true},
		{"passphrase-path", "File with the passphrase.", false},
		{"key-path", "File with the key, where it is another one.", false},
		{"name", "Common name.", false},
		{"keyless", "Monkeys.", false},
	} {
		require.Equal(t, c.asks, asksForSecret(c.name, c.description), c.name)
	}
}
