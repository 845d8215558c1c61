// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/signet-charm/signet/internal/ca/vault"
	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/order"
)

// grant is what an operator is told, or has done, so that Vault becomes the authority.
type grant struct {
	vault.Setup

	app          string
	life, caLife string
	apart        bool // an operator makes the CA

	addresses         []string
	caFile, tokenFile string
	credentials       string
}

func (g *grant) flags(flags *pflag.FlagSet) {
	flags.StringVar(&g.app, "app", "signet", "the application in Juju, and what the policy and the AppRole are called")
	flags.StringVar(&g.Mount, "mount", "pki", "path of the PKI engine (option vault-mount)")
	flags.StringVar(&g.Role, "role", "signet", "role of the engine (option vault-role)")
	flags.StringVar(&g.LoginMount, "auth-mount", "approle", "path of the AppRole method (option vault-auth-mount)")
	flags.BoolVar(&g.apart, "no-create", false, "signet may not have a CA made: an operator makes it")
	flags.BoolVar(&g.MayCertifyCAs, "intermediates", false, "signet may sign CA certificates (option intermediate-applications)")
	flags.StringVar(&g.life, "certificate-validity", "400d", "the longest that a certificate may be valid")
	flags.StringVar(&g.caLife, "ca-validity", "3650d", "the longest that the engine's CA may be valid")
	flags.StringVar(&g.URL, "public-url", "", "where signet serves revocation lists (options listen and public-url), for the certificates to say")
	flags.StringVar(&g.Namespace, "namespace", "", "namespace of Vault Enterprise (option vault-namespace)")
}

// read checks what was given.
func (g *grant) read() error {
	spans := &juju.Config{Values: map[string]any{"certificate-validity": g.life, "ca-validity": g.caLife}}
	g.Life, g.CALife = spans.Span("certificate-validity", time.Hour), spans.Span("ca-validity", time.Hour)
	if len(spans.Errors) > 0 {
		return fmt.Errorf("%w: --%s %s", errUsage, spans.Errors[0].Option, spans.Errors[0].Reason)
	}
	for name, value := range map[string]string{"app": g.app, "mount": g.Mount, "role": g.Role, "auth-mount": g.LoginMount} {
		if value == "" || strings.ContainsFunc(value, func(r rune) bool { return !strings.ContainsRune(pathRunes, r) }) {
			return fmt.Errorf("%w: --%s %q is no name in Vault", errUsage, name, value)
		}
	}
	g.Name, g.MayCreate, g.URL = g.app, !g.apart, strings.TrimSuffix(g.URL, "/")
	return nil
}

const pathRunes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./"

func (p *program) vaultPolicyCommand() *cobra.Command {
	var g grant
	command := &cobra.Command{
		Use:   "vault-policy [flags]",
		Short: "Print the policy that Vault must grant to signet, and no more",
		Long: "vault-policy prints, in Vault's language, the least that signet needs when Vault's PKI engine is its authority: to sign,\n" +
			"to read the CA and its list, to revoke, and to have a CA made.",
		Example: "  signet vault-policy --mount clusters/pki | vault policy write signet -",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := g.read(); err != nil {
				return err
			}
			_, err := io.WriteString(p.stdout, g.Policy())
			return err
		},
	}
	g.flags(command.Flags())
	return command
}

func (p *program) vaultSetupCommand() *cobra.Command {
	var g grant
	apply := false
	command := &cobra.Command{
		Use:   "vault-setup [flags]",
		Short: "Print the commands that make Vault the authority, or do what they do",
		Long: "vault-setup prints what an administrator of Vault and an operator of Juju type so that Vault's PKI engine becomes signet's\n" +
			"authority. With --apply it does Vault's part itself, with an administrator's token that is read from a file or the standard\n" +
			"input, writes the AppRole's credentials to a folder that only you can read, and prints Juju's part.",
		Example: "  signet vault-setup --address https://vault.example.com:8200\n" +
			"  vault print token | signet vault-setup --apply --address https://vault.example.com:8200 --ca-file ca.pem --token-file - --credentials-path creds",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := g.read(); err != nil {
				return err
			}
			if apply {
				return p.applySetup(cmd.Context(), g)
			}
			return p.printSetup(g)
		},
	}
	g.flags(command.Flags())
	flags := command.Flags()
	flags.BoolVar(&apply, "apply", false, "do it, instead of printing the commands")
	flags.StringSliceVar(&g.addresses, "address", nil, "URL of Vault (option vault-address)")
	flags.StringVar(&g.caFile, "ca-file", "", "file with the CA of Vault's own certificate (option vault-ca; default: the machine's trust store)")
	flags.StringVar(&g.tokenFile, "token-file", "", "file with an administrator's token, or - for the standard input")
	flags.StringVar(&g.credentials, "credentials-path", "vault-credentials", "folder to write role-id and secret-id to")
	return command
}

// printSetup prints the commands, which make a script.
func (p *program) printSetup(g grant) error {
	var text strings.Builder
	fmt.Fprintf(&text, "# In Vault, as an administrator (VAULT_ADDR and VAULT_TOKEN are set")
	if g.Namespace != "" {
		fmt.Fprintf(&text, ", and VAULT_NAMESPACE to %s", g.Namespace)
	}
	text.WriteString("):\n")
	for _, step := range g.Steps() {
		fmt.Fprintf(&text, "\n# %s\n%s\n", step.Why, step.Command)
	}
	fmt.Fprintf(&text, "\n# The credentials, in files that only you can read.\numask 077\nmkdir -p %s\n", g.credentials)
	fmt.Fprintf(&text, "vault read -field=role_id %s > %s\n", g.RoleIDPath(), filepath.Join(g.credentials, "role-id"))
	fmt.Fprintf(&text, "vault write -f -field=secret_id %s > %s\n", g.SecretIDPath(), filepath.Join(g.credentials, "secret-id"))
	text.WriteString("\n" + g.jujuPart())
	_, err := io.WriteString(p.stdout, text.String())
	return err
}

// jujuPart is what is typed to Juju once the credentials are there.
func (g *grant) jujuPart() string {
	address := "https://vault.example.com:8200"
	if len(g.addresses) > 0 {
		address = strings.Join(g.addresses, " ")
	}
	options := []string{"authority=vault", fmt.Sprintf("vault-address=%q", address)}
	if g.caFile != "" {
		options = append(options, "vault-ca=@"+g.caFile)
	}
	for _, option := range []struct{ name, value, byDefault string }{
		{"vault-mount", g.Mount, "pki"}, {"vault-role", g.Role, "signet"}, {"vault-auth-mount", g.LoginMount, "approle"}, {"vault-namespace", g.Namespace, ""},
	} {
		if option.value != option.byDefault {
			options = append(options, option.name+"="+option.value)
		}
	}
	secret := g.app + "-vault"
	return fmt.Sprintf(`# In Juju, as an operator of the model. New credentials later: juju update-secret %[1]s secret-id#file=…
juju add-secret %[1]s role-id#file=%[2]s secret-id#file=%[3]s
juju grant-secret %[1]s %[4]s
juju config %[4]s %[5]s \
  vault-credentials="$(juju show-secret %[1]s --format json | jq -r 'keys[0] | "secret:" + .')"
# Where %[4]s has a CA in service already, have Vault's take its place: juju run %[4]s/leader rotate-ca
rm -r %[6]s
`, secret, filepath.Join(g.credentials, "role-id"), filepath.Join(g.credentials, "secret-id"), g.app, strings.Join(options, " "), g.credentials)
}

// applySetup does Vault's part.
func (p *program) applySetup(ctx context.Context, g grant) error {
	if len(g.addresses) == 0 || g.tokenFile == "" {
		return fmt.Errorf("%w: vault-setup --apply needs --address and --token-file (- for the standard input)", errUsage)
	}
	token, err := p.readAll(g.tokenFile)
	if err != nil {
		return fmt.Errorf("cannot read the token: %w", err)
	}
	at := order.Vault{Place: order.Place{Namespace: g.Namespace}, Addresses: g.addresses, Token: cert.NewKey(strings.TrimSpace(token))}
	if g.caFile != "" {
		text, err := os.ReadFile(g.caFile)
		if err != nil {
			return fmt.Errorf("cannot read the CA of Vault's certificate: %w", err)
		}
		at.CA = string(text)
	}
	if err := os.MkdirAll(g.credentials, 0o700); err != nil {
		return fmt.Errorf("cannot make a folder for the credentials: %w", err)
	}
	roleID, secretID, err := g.Apply(ctx, vault.Config{}, at, func(step vault.Step) {
		fmt.Fprintf(p.stdout, "# done: %s (%s)\n", step.Why, step.Path)
	})
	if err != nil {
		return fmt.Errorf("cannot set Vault up: %w", err)
	}
	err = errors.Join(
		os.WriteFile(filepath.Join(g.credentials, "role-id"), []byte(roleID.Reveal()), 0o600),
		os.WriteFile(filepath.Join(g.credentials, "secret-id"), []byte(secretID.Reveal()), 0o600),
	)
	if err != nil {
		return fmt.Errorf("cannot write the credentials: %w", err)
	}
	_, err = fmt.Fprintf(p.stdout, "\n%s", g.jujuPart())
	return err
}
