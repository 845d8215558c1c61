// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"gopkg.in/yaml.v3"

	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/provider"
)

func (p *program) policyCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "policy",
		Short: "Say who may get which certificate",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	command.AddCommand(p.policyCheckCommand())
	return command
}

// check is what "signet policy check" is asked.
type check struct {
	provider, app, unit, config, output string
	options                             []string
	ca                                  bool
}

func (p *program) policyCheckCommand() *cobra.Command {
	var c check
	command := &cobra.Command{
		Use:   "check --app APPLICATION [flags] FILE|-",
		Short: "Explain what would become of a request",
		Long: "check reads a certificate signing request (PEM), or the content of a unit's databag as a JSON object, and says what the\n" +
			"policy would make of it, were it written by a unit of the application: which rule refuses it, and what would allow it.\n" +
			"It ends with 1 where anything would be refused.",
		Example: "  juju config signet --format yaml > config.yaml\n" +
			"  signet policy check --app kubernetes-worker --config config.yaml request.pem\n" +
			"  echo '{\"client_cert_requests\": \"{\\\"system:kubelet\\\": {\\\"sans\\\": []}}\"}' | signet policy check --app web -",
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if c.app == "" || len(args) == 0 {
				return fmt.Errorf("%w: policy check needs --app and a file, or - for the standard input", errUsage)
			}
			return p.policyCheck(c, args[0])
		},
	}
	flags := command.Flags()
	flags.StringVar(&c.app, "app", "", "the application that asks, by its name in this model")
	flags.StringVar(&c.unit, "unit", "", "the unit that asks (default: the application's unit 0)")
	flags.StringVar(&c.provider, "provider", "signet", "the application that issues, for the commands that are proposed")
	flags.StringVar(&c.config, "config", "", "file with the provider's options, as \"juju config --format yaml\" prints them")
	flags.StringArrayVar(&c.options, "option", nil, "an option as NAME=VALUE, over those of the file")
	flags.BoolVar(&c.ca, "ca", false, "the request is for a CA certificate")
	flags.StringVarP(&c.output, "output", "o", "text", "text or json")
	return command
}

func (p *program) policyCheck(c check, path string) error {
	if err := checkOutput(c.output); err != nil {
		return err
	}
	settings, err := c.settings()
	if err != nil {
		return err
	}
	text, err := p.readAll(path)
	if err != nil {
		return fmt.Errorf("cannot read the request: %w", err)
	}
	relation, err := c.relation(text)
	if err != nil {
		return err
	}
	explained, denials := provider.Explain(c.provider, settings, relation)
	if len(explained)+len(denials) == 0 {
		return errors.New("cannot find a request: give a PEM certificate signing request, or a databag with a key such as cert_requests")
	}
	decisions := decisionsOf(explained, denials)
	if c.output == "json" {
		encoder := json.NewEncoder(p.stdout)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		err = encoder.Encode(decisions)
	} else {
		err = writeDecisions(p.stdout, decisions)
	}
	refused := 0
	for _, d := range decisions {
		if !d.Allowed {
			refused++
		}
	}
	if refused > 0 {
		err = errors.Join(err, fmt.Errorf("%d of %d would be refused", refused, len(decisions)))
	}
	return err
}

// readAll reads a file, or the standard input, as far as a databag can be long.
func (p *program) readAll(path string) (string, error) {
	const limit = 16 << 20
	input := p.stdin
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return "", err
		}
		defer func() { _ = file.Close() }()
		input = file
	}
	text, err := io.ReadAll(io.LimitReader(input, limit))
	return string(text), err
}

// settings reads the provider's options.
func (c check) settings() (provider.Settings, error) {
	values := map[string]any{}
	if c.config != "" {
		text, err := os.ReadFile(c.config)
		if err != nil {
			return provider.Settings{}, fmt.Errorf("cannot read the options: %w", err)
		}
		var printed struct {
			Settings map[string]struct {
				Value any `yaml:"value"`
			} `yaml:"settings"`
		}
		if err := yaml.Unmarshal(text, &printed); err != nil || printed.Settings == nil {
			return provider.Settings{}, fmt.Errorf("cannot read the options in %s: it is not what juju config --format yaml prints", c.config)
		}
		for name, setting := range printed.Settings {
			if setting.Value != nil {
				values[name] = setting.Value
			}
		}
	}
	for _, option := range c.options {
		name, value, found := strings.Cut(option, "=")
		if !found {
			return provider.Settings{}, fmt.Errorf("%w: --option %q is not NAME=VALUE", errUsage, option)
		}
		var typed any
		if err := yaml.Unmarshal([]byte(value), &typed); err != nil {
			typed = value
		}
		switch typed.(type) {
		case bool, int:
			values[name] = typed
		default:
			values[name] = value
		}
	}
	config := &juju.Config{Values: values}
	settings := provider.ReadSettings(config)
	var faults []error
	for _, fault := range config.Errors {
		faults = append(faults, fault)
	}
	return settings, errors.Join(faults...)
}

// relation is what the provider would see, were the text all that is asked.
func (c check) relation(text string) (juju.Relation, error) {
	unit := c.unit
	if unit == "" {
		unit = c.app + "/0"
	}
	if juju.ApplicationOf(unit) != c.app {
		return juju.Relation{}, fmt.Errorf("%w: unit %q is not one of application %q", errUsage, unit, c.app)
	}
	bag := juju.Bag{}
	if strings.HasPrefix(strings.TrimSpace(text), "{") {
		if err := json.Unmarshal([]byte(text), &bag); err != nil {
			return juju.Relation{}, fmt.Errorf("cannot read the databag: it is not a JSON object whose values are texts: %w", err)
		}
	} else {
		request, err := json.Marshal([]any{map[string]any{"certificate_signing_request": strings.TrimSpace(text), "ca": c.ca}})
		if err != nil {
			return juju.Relation{}, err
		}
		bag["certificate_signing_requests"] = string(request)
	}
	return juju.Relation{
		Endpoint:  juju.Endpoint{Name: "certificates", Interface: dialect.Interface, Role: juju.Provides},
		RemoteApp: c.app, RemoteUnits: map[string]juju.Bag{unit: bag},
	}, nil
}

// decision is one request's fate as it is printed.
type decision struct {
	Unit        string    `json:"unit"`
	Kind        string    `json:"kind,omitempty"`
	CommonName  string    `json:"common-name,omitempty"`
	Names       []string  `json:"names,omitempty"`
	Allowed     bool      `json:"allowed"`
	Rule        string    `json:"rule,omitempty"`                  // what allows it
	Without     []string  `json:"without-organizations,omitempty"` // what the certificate would not have
	ServersOnly bool      `json:"servers-only,omitempty"`
	Refusals    []refusal `json:"refusals,omitempty"`
}

// refusal is one reason why a request would be refused.
type refusal struct {
	Item   string `json:"item,omitempty"` // where no request could be read
	Code   string `json:"code"`
	Rule   string `json:"rule,omitempty"`
	Reason string `json:"reason"`
	Fix    string `json:"fix,omitempty"`
}

func decisionsOf(explained []provider.Explained, denials []dialect.Denial) []decision {
	var decisions []decision
	for _, e := range explained {
		d := decision{
			Unit: e.Ask.Unit, Kind: string(e.Ask.Kind), CommonName: e.Ask.CommonName, Names: e.Ask.Names.List(),
			Allowed: len(e.Refusals) == 0, Rule: e.Verdict.Rule, Without: e.Verdict.Without, ServersOnly: e.Verdict.ServersOnly,
		}
		if e.Spec.Kind != "" {
			d.Kind = string(e.Spec.Kind)
		}
		for _, denial := range e.Refusals {
			d.Refusals = append(d.Refusals, refusal{Code: string(denial.Code), Rule: denial.Rule, Reason: denial.Reason, Fix: denial.Fix})
		}
		decisions = append(decisions, d)
	}
	for _, denial := range denials {
		decisions = append(decisions, decision{Unit: denial.Unit, Refusals: []refusal{
			{Item: denial.Item, Code: string(denial.Code), Rule: denial.Rule, Reason: denial.Reason, Fix: denial.Fix},
		}})
	}
	return decisions
}

func writeDecisions(w io.Writer, decisions []decision) error {
	var text strings.Builder
	for _, d := range decisions {
		fmt.Fprintf(&text, "%s: ", d.Unit)
		if d.Kind == "" {
			fmt.Fprintf(&text, "%s\n", d.Refusals[0].Item)
		} else {
			fmt.Fprintf(&text, "%s certificate %q, names: %s\n", d.Kind, d.CommonName, strings.Join(d.Names, " "))
		}
		if d.Allowed {
			fmt.Fprintf(&text, "  allowed by: %s\n", d.Rule)
		}
		if len(d.Without) > 0 {
			fmt.Fprintf(&text, "  without the organizations: %q\n", d.Without)
		}
		if d.ServersOnly {
			text.WriteString("  for servers only\n")
		}
		for _, r := range d.Refusals {
			by := r.Code
			if r.Rule != "" {
				by += ", rule " + r.Rule
			}
			fmt.Fprintf(&text, "  refused: %s (%s)\n", r.Reason, by)
			if r.Fix != "" {
				fmt.Fprintf(&text, "  to allow it run: %s\n", r.Fix)
			}
		}
	}
	_, err := io.WriteString(w, text.String())
	return err
}
