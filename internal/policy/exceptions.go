// SPDX-License-Identifier: AGPL-3.0-only

package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/signet-charm/signet/internal/cert"
)

// Exception allows applications more than the mode does. An operator writes a list of them in YAML.
type Exception struct {
	Applications []string     `yaml:"applications"` // by Juju's names here; a "*" at the end stands for anything
	Role         string       `yaml:"role"`         // control-plane or node
	Identities   []string     `yaml:"identities"`   // common names and organizations of clients; "*" as above
	Domains      []string     `yaml:"domains"`
	Networks     []string     `yaml:"networks"` // CIDRs or addresses
	URIs         []string     `yaml:"uris"`     // what a URI must begin with
	Wildcards    bool         `yaml:"wildcards"`
	Clients      bool         `yaml:"clients"` // client certificates for applications of other models
	Keys         []string     `yaml:"keys"`    // ed25519, ecdsa-p521
	CA           *CAException `yaml:"ca"`

	number   int
	networks []netip.Prefix
}

// CAException allows CA certificates.
type CAException struct {
	PathLength int      `yaml:"path-length"` // how many CAs may follow
	Domains    []string `yaml:"domains"`     // for which names; where domains and networks are left out, for all
	Networks   []string `yaml:"networks"`

	networks []netip.Prefix
}

// maxExceptions is the length in bytes of the longest list of exceptions that is read.
const maxExceptions = 64 << 10

// ParseExceptions reads a list of exceptions. An unknown word, or a value that means nothing, is an error: an exception
// that is misread allows too much or too little.
func ParseExceptions(text string) ([]Exception, error) {
	if len(text) > maxExceptions {
		return nil, fmt.Errorf("it has %d bytes, more than %d", len(text), maxExceptions)
	}
	decoder := yaml.NewDecoder(strings.NewReader(text))
	decoder.KnownFields(true)
	var exceptions []Exception
	if err := decoder.Decode(&exceptions); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("it is no list of exceptions: %s", firstLine(err))
	}
	if err := decoder.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, errors.New("it has more than one YAML document")
	}
	for i := range exceptions {
		exceptions[i].number = i + 1
		if err := exceptions[i].check(); err != nil {
			return nil, fmt.Errorf("%s: %w", exceptions[i], err)
		}
	}
	return exceptions, nil
}

// firstLine is what an error of the YAML parser says, without what it repeats of the text.
func firstLine(err error) string {
	text := strings.ReplaceAll(err.Error(), "\n ", "")
	if len(text) > 200 {
		text = strings.ToValidUTF8(text[:200], "") + "…"
	}
	return text
}

func (e *Exception) check() error {
	if len(e.Applications) == 0 {
		return errors.New("it names no applications")
	}
	for _, pattern := range slices.Concat(e.Applications, e.Identities, e.URIs) {
		if strings.TrimSpace(pattern) != pattern || pattern == "" {
			return fmt.Errorf("%q is empty or has white space around it", pattern)
		}
	}
	if e.Role != "" && !slices.Contains(roleNames(), e.Role) {
		return fmt.Errorf("role %q is none of %s", e.Role, strings.Join(roleNames(), ", "))
	}
	for _, key := range e.Keys {
		if !slices.Contains(exceptionalKeys(), key) {
			return fmt.Errorf("key %q is none of %s", key, strings.Join(exceptionalKeys(), ", "))
		}
	}
	var err error
	if e.Domains, err = ParseDomains(e.Domains); err != nil {
		return err
	}
	if e.networks, err = ParseNetworks(e.Networks); err != nil {
		return err
	}
	if e.CA == nil {
		return nil
	}
	if e.CA.PathLength < 0 || e.CA.PathLength > 8 {
		return fmt.Errorf("path-length %d is not between 0 and 8", e.CA.PathLength)
	}
	if e.CA.Domains, err = ParseDomains(e.CA.Domains); err != nil {
		return err
	}
	e.CA.networks, err = ParseNetworks(e.CA.Networks)
	return err
}

// ParseDomains checks domains; a leading dot or "*." says nothing new.
func ParseDomains(domains []string) ([]string, error) {
	var parsed []string
	for _, domain := range domains {
		plain := strings.TrimPrefix(strings.TrimPrefix(domain, "*"), ".")
		names, err := cert.ParseNames([]string{plain})
		if err != nil || len(names.DNS) != 1 || strings.HasPrefix(names.DNS[0], "*") {
			return nil, fmt.Errorf("%q is not a domain", domain)
		}
		parsed = append(parsed, names.DNS[0])
	}
	return parsed, nil
}

// ParseNetworks reads networks in CIDR notation, and single addresses.
func ParseNetworks(networks []string) ([]netip.Prefix, error) {
	var parsed []netip.Prefix
	for _, text := range networks {
		network, err := netip.ParsePrefix(text)
		if address, single := netip.ParseAddr(text); single == nil && address.Zone() == "" {
			network, err = netip.PrefixFrom(address, address.BitLen()), nil
		}
		if err != nil || network.Addr().Is4In6() {
			return nil, fmt.Errorf("%q is not a network such as 10.0.0.0/8, nor an address", text)
		}
		parsed = append(parsed, network.Masked())
	}
	return parsed, nil
}

// String names an exception by its place in the list.
func (e Exception) String() string { return fmt.Sprintf("policy-rules[%d]", e.number) }

func (e Exception) holdsFor(app string) bool { return matchesAny(e.Applications, app) }

// matchesAny reports whether one of the patterns is the text, or its beginning where a "*" follows.
func matchesAny(patterns []string, text string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		prefix, open := strings.CutSuffix(pattern, "*")
		return pattern == text || open && strings.HasPrefix(text, prefix)
	})
}

// fix is the command that adds an exception for the application to those there are. The names in it may be a stranger's
// words: they are quoted for YAML and for the shell. It is empty where one is too long to be meant, for the command stands in
// the status.
func (j *judgement) fix(what string, values ...string) string {
	const longest = 2048 // bytes; no longer URI must work (SPIFFE-ID, 2.3)
	quoted := make([]string, len(values))
	for i, value := range values {
		if len(value) > longest {
			return ""
		}
		text, err := json.Marshal(value)
		if err != nil {
			return ""
		}
		quoted[i] = string(text)
	}
	if len(values) > 0 {
		what += "[" + strings.Join(quoted, ", ") + "]"
	}
	app := j.settings.Provider
	exception := strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace("- {applications: [" + j.App + "], " + what + "}")
	return fmt.Sprintf(`juju config %s policy-rules="$(juju config %s policy-rules)"$'\n%s'`, app, app, exception)
}
