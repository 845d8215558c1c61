// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/takeover"
)

func (p *program) takeoverCommand() *cobra.Command {
	var keyPath, passphrasePath, settingsPath string
	var dryRun bool
	command := &cobra.Command{
		Use:   "takeover --dry-run [path]",
		Short: "Report what taking over another program's CA would mean",
		Long: "takeover reads a CA that another program made (a folder of easy-rsa, a backup of the EasyRSA charm, PEM or PKCS#12,\n" +
			"or what leader-get prints in JSON on an EasyRSA unit) and says what signet would go on with. It changes nothing:\n" +
			"the takeover itself is \"juju refresh easyrsa --switch\" to signet, or the action import-ca.",
		Example: "  signet takeover --dry-run /var/lib/juju/agents/unit-easyrsa-0/charm/EasyRSA/pki",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if !dryRun {
				return fmt.Errorf("%w: takeover only reports, with --dry-run; to take a CA over, refresh the charm or run the action import-ca", errUsage)
			}
			if len(args) == 0 && settingsPath == "" {
				return fmt.Errorf("%w: takeover needs a path or --leader-settings", errUsage)
			}
			found, err := readForeign(append(args, "")[0], keyPath, passphrasePath, settingsPath)
			if err != nil {
				return err
			}
			return reportTakeover(p.stdout, found, time.Now())
		},
	}
	flags := command.Flags()
	flags.BoolVar(&dryRun, "dry-run", false, "only report")
	flags.StringVar(&keyPath, "key", "", "file with the CA's key, where it is another one")
	flags.StringVar(&passphrasePath, "passphrase-file", "", "file with the key's passphrase")
	flags.StringVar(&settingsPath, "leader-settings", "", "file with what \"leader-get --format json\" prints on an EasyRSA unit")
	return command
}

// readForeign reads a CA from where it was left; in both places it must be the same.
func readForeign(path, keyPath, passphrasePath, settingsPath string) (takeover.Found, error) {
	var fromSettings takeover.Found
	if settingsPath != "" {
		text, err := os.ReadFile(settingsPath)
		if err != nil {
			return takeover.Found{}, fmt.Errorf("cannot read the leader settings: %w", err)
		}
		var settings map[string]string
		if json.Unmarshal(text, &settings) != nil {
			return takeover.Found{}, fmt.Errorf("cannot read the leader settings in %s: it is not what leader-get --format json prints", settingsPath)
		}
		found, is, err := takeover.ReadLeaderSettings(settings)
		switch {
		case err != nil:
			return takeover.Found{}, err
		case !is:
			return takeover.Found{}, fmt.Errorf("cannot use the leader settings in %s: they are not the EasyRSA charm's", settingsPath)
		case path == "":
			return found, nil
		}
		fromSettings = found
	}
	var passphrase cert.Key
	if passphrasePath != "" {
		text, err := os.ReadFile(passphrasePath)
		if err != nil {
			return takeover.Found{}, fmt.Errorf("cannot read the passphrase: %w", err)
		}
		passphrase = cert.NewKey(strings.TrimRight(string(text), "\r\n"))
	}
	found, err := takeover.Read(path, keyPath, passphrase)
	if err != nil {
		return takeover.Found{}, err
	}
	if fromSettings.Certificate != "" && fromSettings.Certificate != found.Certificate {
		return takeover.Found{}, errors.New("the leader settings and the folder have two different CAs: find out which one is in use")
	}
	return found, nil
}

// reportTakeover says what would go on, and when anybody would be given another certificate.
func reportTakeover(w io.Writer, found takeover.Found, now time.Time) error {
	ca, err := cert.Parse(found.Certificate)
	if err != nil {
		return err
	}
	keyType, err := cert.KeyTypeOf(ca.PublicKey)
	if err != nil {
		return err
	}
	revoked := map[string]cert.Reason{}
	for _, one := range found.Revoked {
		revoked[one.Serial] = one.Reason
	}
	fmt.Fprintf(w, "%s\nCA %s, %s, until %s: it would go on under the same key, and no certificate would be issued again.\n",
		found.Source, ca.Subject, keyType, ca.NotAfter.UTC().Format(time.DateOnly))
	fmt.Fprintf(w, "%d issued, %d revoked: these would stay on the revocation list.\n", len(found.Issued), len(found.Revoked))
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, text := range found.Issued {
		leaf, err := cert.Parse(text)
		if err != nil {
			return err
		}
		serial := cert.SerialText(leaf.SerialNumber)
		what := "kept; renewed from " + cert.RenewAt(leaf).UTC().Format(time.DateOnly) + " while somebody asks for it"
		switch reason, gone := revoked[serial]; {
		case gone:
			what = "revoked: " + string(reason)
		case now.After(leaf.NotAfter):
			what = "expired; replaced where somebody asks for it"
		case now.After(cert.RenewAt(leaf)):
			what = "kept; its renewal is due"
		}
		fmt.Fprintf(table, "%s\t%s\tuntil %s\t%s\n", serial, leaf.Subject, leaf.NotAfter.UTC().Format(time.DateOnly), what)
	}
	return table.Flush()
}
