// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/signet-charm/signet/internal/agent"
	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/disk"
	"github.com/signet-charm/signet/internal/host"
	"github.com/signet-charm/signet/internal/order"
)

func (p *program) trustCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "trust",
		Short: "Say which CAs this machine trusts because of signet, and add or remove some",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	command.AddCommand(p.trustListCommand(), p.trustAddCommand(), p.trustRemoveCommand())
	return command
}

// trustedCA is a line of "signet trust list".
type trustedCA struct {
	By       string    `json:"by"`
	Subject  string    `json:"subject,omitempty"`
	NotAfter time.Time `json:"not-after,omitzero"`
	State    string    `json:"state"`
	SHA256   string    `json:"sha256,omitempty"`
	Path     string    `json:"path"`
}

func (p *program) trustListCommand() *cobra.Command {
	var o output
	command := &cobra.Command{
		Use:   "list",
		Short: "List the CA certificates that signet put into the machine's trust store",
		Long: "list shows the CA certificates that units of signet laid for the machine to trust, as they follow from its relations, and those\n" +
			"that an operator added." + exitCodes,
		Example: "  signet trust list", Args: noArgs,
	}
	o.flags(command)
	command.RunE = func(*cobra.Command, []string) error {
		if err := o.check(); err != nil {
			return err
		}
		found, err := disk.TrustedFiles(p.lookup("SIGNET_ROOT"))
		if err != nil {
			return fmt.Errorf("%w: %w", errUnseen, err)
		}
		var rows []trustedCA
		for _, one := range found {
			row := trustedCA{By: one.Owner, Subject: one.Subject, NotAfter: one.NotAfter, State: "valid", SHA256: one.SHA256, Path: one.Path}
			switch {
			case one.Trouble != "":
				row.State = one.Trouble
			case time.Now().After(one.NotAfter):
				row.State = "expired"
			}
			rows = append(rows, row)
		}
		return show(p, o, []column[trustedCA]{
			{name: "by", text: func(one trustedCA) string { return one.By }},
			{name: "subject", text: func(one trustedCA) string { return one.Subject }},
			{name: "not-after", text: func(one trustedCA) string { return instant(one.NotAfter) }},
			{name: "state", text: func(one trustedCA) string { return one.State }, paint: func(one trustedCA) colour { return colourOf(one.State) }},
			{name: "sha256", most: 16, text: func(one trustedCA) string { return one.SHA256 }},
			{name: "path", wide: true, most: 200, text: func(one trustedCA) string { return one.Path }},
		}, rows)
	}
	return command
}

func (p *program) trustAddCommand() *cobra.Command {
	var dryRun bool
	command := &cobra.Command{
		Use:   "add FILE...",
		Short: "Have this machine trust CA certificates",
		Long: "add lays CA certificates (PEM, - for the standard input) where update-ca-certificates looks, and runs it. They stay until remove,\n" +
			"whatever the unit's relations are. It ends with 0 when it was done, 1 when not, 2 for wrong usage.",
		Example: "  signet trust add corporate-root.pem --dry-run",
	}
	command.Flags().BoolVar(&dryRun, "dry-run", false, "only say what would be done")
	command.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return fmt.Errorf("%w: trust add needs a file", errUsage)
		}
		text, err := p.readCertificates(args...)
		if err != nil {
			return err
		}
		found, err := cert.ParseCertificates(text)
		if err != nil {
			return err
		}
		for _, ca := range found { // all of them before the first is laid
			switch {
			case !ca.BasicConstraintsValid || !ca.IsCA:
				return fmt.Errorf("cannot trust %s: it is no CA's certificate", ca.Subject)
			case time.Now().After(ca.NotAfter):
				return fmt.Errorf("cannot trust %s: it expired at %s", ca.Subject, instant(ca.NotAfter))
			}
		}
		machine, laid := p.lookup("SIGNET_ROOT"), 0
		for _, ca := range found {
			one := cert.EncodeCertificates(ca)
			if dryRun {
				fmt.Fprintf(p.stdout, "would trust %s until %s: %s\n", ca.Subject, instant(ca.NotAfter), disk.OperatorTrustPath(machine, one))
				continue
			}
			fresh, err := disk.LayTrusted(machine, one)
			if err != nil {
				return err
			}
			if fresh {
				laid++
				fmt.Fprintf(p.stdout, "trusts %s until %s\n", ca.Subject, instant(ca.NotAfter))
			} else {
				fmt.Fprintf(p.stdout, "trusts %s already\n", ca.Subject)
			}
		}
		if dryRun || laid == 0 {
			return nil
		}
		return p.refreshTrust(cmd.Context())
	}
	return command
}

func (p *program) trustRemoveCommand() *cobra.Command {
	var dryRun bool
	command := &cobra.Command{
		Use:   "remove SHA256|SUBJECT",
		Short: "Have this machine trust no longer what an operator added",
		Long: "remove takes away what add laid: by the fingerprint that list shows, or the beginning of it, or by the subject. What a unit laid\n" +
			"goes with its relation. It ends with 0 when it was done, 1 when not, 2 for wrong usage.",
		Example: "  signet trust remove 'CN=Corporate Root' --dry-run",
		Args:    cobra.MaximumNArgs(1),
	}
	command.Flags().BoolVar(&dryRun, "dry-run", false, "only say what would be done")
	command.RunE = func(cmd *cobra.Command, args []string) error {
		const shortest = 8
		if len(args) == 0 || len(args[0]) < 2 {
			return fmt.Errorf("%w: trust remove needs a fingerprint or a subject: see signet trust list", errUsage)
		}
		files, err := disk.TrustedFiles(p.lookup("SIGNET_ROOT"))
		if err != nil {
			return err
		}
		files = slices.DeleteFunc(files, func(one disk.TrustedFile) bool {
			return one.Subject != args[0] && (len(args[0]) < shortest || !strings.HasPrefix(one.SHA256, strings.ToLower(args[0])))
		})
		own := slices.DeleteFunc(slices.Clone(files), func(one disk.TrustedFile) bool { return !one.Operator })
		switch {
		case len(files) == 0:
			return fmt.Errorf("signet laid no certificate %q here: see signet trust list", args[0])
		case len(own) == 0:
			return fmt.Errorf("%s was laid by %s, and goes with its relation; juju config %s trust-store=false has that unit lay none",
				files[0].Subject, files[0].Owner, strings.TrimRight(strings.TrimRight(files[0].Owner, "0123456789"), "-"))
		case len(own) > 1:
			return fmt.Errorf("%d certificates are called so: give a fingerprint", len(own))
		case dryRun:
			fmt.Fprintf(p.stdout, "would no longer trust %s: %s\n", own[0].Subject, own[0].Path)
			return nil
		}
		if err := disk.RemoveTrusted(own[0].Path); err != nil {
			return err
		}
		fmt.Fprintf(p.stdout, "no longer trusts %s\n", own[0].Subject)
		return p.refreshTrust(cmd.Context())
	}
	return command
}

// refreshTrust has the machine's trust store made anew, as a turn has it done, but on nobody's record.
func (p *program) refreshTrust(ctx context.Context) error {
	root := p.lookup("SIGNET_ROOT")
	machine := host.New(host.Config{Records: unrecorded{}, Root: root, Apart: root == "" && agent.SystemdRuns()})
	answer := machine.Carry(ctx, order.RefreshTrust{For: "operator", Laid: filepath.Join("/", root)})
	switch {
	case answer.Failure != nil:
		return answer.Failure
	case answer.State != order.Done:
		return errors.New("the trust store was not made anew: run update-ca-certificates")
	}
	return nil
}

// unrecorded is host.Records that end with the process.
type unrecorded map[string][]byte

func (u unrecorded) Read(name string) ([]byte, error) {
	blob, found := u[name]
	if !found {
		return nil, fs.ErrNotExist
	}
	return blob, nil
}

func (u unrecorded) Write(name string, blob []byte) error {
	u[name] = blob
	return nil
}

func (u unrecorded) Names(prefix string) ([]string, error) {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(u)), func(name string) bool { return !strings.HasPrefix(name, prefix) }), nil
}
