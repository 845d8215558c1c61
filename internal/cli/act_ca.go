// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/signet-charm/signet/internal/cert"
)

// caActing are the commands that change the CA.
func (p *program) caActing() []*cobra.Command {
	return []*cobra.Command{p.caRotateCommand(), p.caImportCommand(), p.caRequestCommand(), p.caInstallCommand()}
}

func (p *program) caRotateCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "rotate",
		Short: "Replace the CA without an outage",
		Long: "rotate replaces the CA: the next one is published to be trusted, then signs, then the old one is withdrawn when its last\n" +
			"certificate has ended. Without a command it says what would be done.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	for _, step := range []struct{ name, param, short string }{
		{"plan", "plan", "Say what a rollover does from here on, or would do"},
		{"run", "start", "Begin a rollover to a new CA"},
		{"pause", "pause", "Have nothing of the rollover go on by itself"},
		{"resume", "resume", "Have a paused rollover go on"},
		{"advance", "advance", "Take the rollover's next step without waiting for anybody"},
		{"abort", "abort", "Drop the next CA, or go back to the old one"},
	} {
		below := &cobra.Command{
			Use: step.name, Short: step.short, Long: step.short + "." + actingCodes, Args: noArgs,
			Example: "  signet ca rotate plan\n  signet ca rotate run --dry-run\n  signet ca rotate run",
		}
		a := p.acting(below)
		below.RunE = func(cmd *cobra.Command, _ []string) error {
			params := map[string]any{"step": step.param}
			if a.dryRun && step.param == "start" || step.param == "plan" { // which is what it would do
				params["step"], a.dryRun = "plan", false
			}
			return a.do(cmd.Context(), "rotate-ca", params)
		}
		command.AddCommand(below)
	}
	return command
}

func (p *program) caImportCommand() *cobra.Command {
	var key, passphrase string
	command := &cobra.Command{
		Use:   "import PATH",
		Short: "Go on as a CA that another program made",
		Long: "import takes up a folder of easy-rsa, a backup of the EasyRSA charm, PEM or PKCS#12 on this machine. Where nothing was issued\n" +
			"here it takes over at once, else by a rollover." + actingCodes,
		Example: "  signet ca import /root/pki --dry-run\n  signet ca import /root/ca.p12 --passphrase-file /root/passphrase",
		Args:    cobra.MaximumNArgs(1),
	}
	a := p.acting(command)
	command.Flags().StringVar(&key, "key", "", "file with the key, where it is another one")
	command.Flags().StringVar(&passphrase, "passphrase-file", "", "file with the key's passphrase")
	command.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return fmt.Errorf("%w: ca import needs a path", errUsage)
		}
		params, err := absolute(map[string]string{"path": args[0], "key-path": key, "passphrase-path": passphrase})
		if err != nil {
			return err
		}
		return a.do(cmd.Context(), "import-ca", params)
	}
	return command
}

// absolute gives paths as the agent finds them, who works elsewhere.
func absolute(paths map[string]string) (map[string]any, error) {
	params := map[string]any{}
	for name, path := range paths {
		if path == "" {
			continue
		}
		full, err := filepath.Abs(path)
		if err != nil {
			return nil, fmt.Errorf("cannot find %s: %w", path, err)
		}
		params[name] = full
	}
	return params, nil
}

func (p *program) caRequestCommand() *cobra.Command {
	var force bool
	subject := map[string]*string{}
	command := &cobra.Command{
		Use:   "csr",
		Short: "Print the request of a CA that another CA shall certify",
		Long: "csr prints the certificate signing request of the CA that waits to be certified, or of a new one. The CA in service goes on\n" +
			"until install-signed brings the answer." + actingCodes,
		Example: "  signet ca csr > ca.csr\n  signet ca csr --common-name 'Cluster CA' --organization Example --force > ca.csr",
		Args:    noArgs,
	}
	a := p.acting(command)
	for name, what := range map[string]string{
		"common-name": "common name; without it, one made from model and application", "country": "country, two capital letters",
		"province": "state or province", "locality": "city", "organization": "organisation; without it, that of ca-organization",
		"organizational-unit": "organisational unit",
	} {
		subject[name] = command.Flags().String(name, "", what)
	}
	command.Flags().BoolVar(&force, "force", false, "replace the request that waits")
	command.RunE = func(cmd *cobra.Command, _ []string) error {
		params := map[string]any{"force": force}
		for name, value := range subject {
			params[name] = *value
		}
		return a.do(cmd.Context(), "get-csr", params)
	}
	return command
}

func (p *program) caInstallCommand() *cobra.Command {
	var root string
	command := &cobra.Command{
		Use:   "install-signed FILE...",
		Short: "Take up the certificate that another CA signed for this one's request",
		Long: "install-signed takes up the signed certificate, and those above it, in any order; - stands for the standard input. Where a CA\n" +
			"is in service, a rollover to the new one begins; the first one signs at once." + actingCodes,
		Example: "  signet ca install-signed signed.pem chain.pem --root root.pem",
	}
	a := p.acting(command)
	command.Flags().StringVar(&root, "root", "", "file with the root above them, where they do not hold it")
	command.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return fmt.Errorf("%w: ca install-signed needs the file with the certificate, or -", errUsage)
		}
		signed, err := p.readCertificates(args...)
		if err != nil {
			return err
		}
		params := map[string]any{"pem": signed}
		if root != "" {
			if params["root-ca"], err = p.readCertificates(root); err != nil {
				return err
			}
		}
		return a.do(cmd.Context(), "upload-signed-csr", params)
	}
	return command
}

// readCertificates reads PEM files that hold certificates, and nothing else, so that no key is sent by a slip of the hand.
func (p *program) readCertificates(paths ...string) (string, error) {
	var all strings.Builder
	for _, path := range paths {
		text, err := p.readAll(path)
		if err != nil {
			return "", fmt.Errorf("cannot read the certificates: %w", err)
		}
		found, err := cert.ParseCertificates(text)
		if err != nil {
			return "", fmt.Errorf("cannot use %s: %w", path, err)
		}
		all.WriteString(cert.EncodeCertificates(found...))
	}
	return all.String(), nil
}

func (p *program) backupCommand() *cobra.Command {
	var recipients []string
	var passphrase string
	command := &cobra.Command{
		Use:   "backup",
		Short: "Write an encrypted backup of the CA, or list and delete those on this unit",
		Long: "backup writes the CA, its keys, what it issued and what is revoked into an archive that is encrypted with age, and opens it\n" +
			"again to see that it can be restored. It lies in the unit's folder: copy it to another machine." + actingCodes,
		Example: "  signet backup --recipient age1… --dry-run\n  signet backup list",
		Args:    noArgs,
	}
	a := p.acting(command)
	command.Flags().StringSliceVar(&recipients, "recipient", nil, "who can open it: a public key of age (age1…); else those of backup-recipients")
	command.Flags().StringVar(&passphrase, "passphrase-file", "", "file with a passphrase, in place of recipients")
	command.RunE = func(cmd *cobra.Command, _ []string) error {
		params, err := absolute(map[string]string{"passphrase-path": passphrase})
		if err != nil {
			return err
		}
		params["recipients"] = strings.Join(recipients, " ")
		return a.do(cmd.Context(), "backup", params)
	}
	command.AddCommand(p.backupListCommand(), p.backupDeleteCommand())
	return command
}

func (p *program) backupListCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "list", Short: "List the backups on this unit", Args: noArgs, Example: "  signet backup list",
		Long: "list names the backups that lie in the unit's folder, the oldest first." + actingCodes,
	}
	l := p.looking(command)
	command.RunE = func(cmd *cobra.Command, _ []string) error {
		return (&acting{looking: l}).do(cmd.Context(), "list-backups", map[string]any{})
	}
	return command
}

func (p *program) backupDeleteCommand() *cobra.Command {
	var all bool
	command := &cobra.Command{
		Use: "delete [NAME]", Short: "Delete backups on this unit", Args: cobra.MaximumNArgs(1), Example: "  signet backup delete --all --dry-run",
		Long: "delete deletes one backup, by the name that list shows, or all of them." + actingCodes,
	}
	a := p.acting(command)
	command.Flags().BoolVar(&all, "all", false, "all of them")
	command.RunE = func(cmd *cobra.Command, args []string) error {
		if (len(args) == 0) != all {
			return fmt.Errorf("%w: give the name of a backup, or --all", errUsage)
		}
		return a.do(cmd.Context(), "delete-backup", map[string]any{"name": strings.Join(args, ""), "all": all})
	}
	return command
}

func (p *program) restoreCommand() *cobra.Command {
	var identity, passphrase string
	command := &cobra.Command{
		Use:   "restore NAME",
		Short: "Go on as the CA of a backup",
		Long: "restore takes up the CA of a backup: one that backup list shows, or the path of a file. What was issued and revoked after it\n" +
			"was made is kept, as far as relations and this application still know it. A later state is not written over." + actingCodes,
		Example: "  signet restore signet-story-20260301T120000Z.age --identity-file /root/identity --dry-run",
		Args:    cobra.MaximumNArgs(1),
	}
	a := p.acting(command)
	command.Flags().StringVar(&identity, "identity-file", "", "file with the age identity that opens it")
	command.Flags().StringVar(&passphrase, "passphrase-file", "", "file with the passphrase that opens it")
	command.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return fmt.Errorf("%w: restore needs the name of a backup: see signet backup list", errUsage)
		}
		params, err := absolute(map[string]string{"identity-path": identity, "passphrase-path": passphrase})
		if err != nil {
			return err
		}
		params["name"] = args[0]
		if strings.ContainsRune(args[0], filepath.Separator) {
			if params["name"], err = filepath.Abs(args[0]); err != nil {
				return fmt.Errorf("cannot find %s: %w", args[0], err)
			}
		}
		return a.do(cmd.Context(), "restore", params)
	}
	return command
}
