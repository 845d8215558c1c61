// SPDX-License-Identifier: AGPL-3.0-only

package cert

import (
	"crypto/x509"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Names are subject alternative names in canonical form: lower case, IP addresses as netip prints them, each sorted
// and without doubles. Two Names are equal when they name the same.
type Names struct {
	DNS []string
	IPs []string
}

// NameError says which name cannot stand in a certificate, and why.
type NameError struct{ Name, Reason string }

func (e *NameError) Error() string {
	return fmt.Sprintf("cannot use name %q: %s", shorten(e.Name), e.Reason)
}

// ParseNames sorts untyped names, as the legacy dialect writes them, into DNS names and IP addresses. Empty names are
// passed over. The error is a *NameError for the first name that is neither a host name (RFC 1123, 2.1; a leftmost "*"
// label is one) nor an IP address.
func ParseNames(untyped []string) (Names, error) {
	var names Names
	for _, name := range untyped {
		name = strings.TrimSpace(name)
		if name == "" {
			continue
		}
		if ip, err := netip.ParseAddr(name); err == nil {
			if ip.Zone() != "" {
				return Names{}, &NameError{name, "an address with a zone has no meaning outside its host"}
			}
			names.IPs = append(names.IPs, ip.Unmap().String())
			continue
		}
		dns := strings.TrimSuffix(strings.ToLower(name), ".")
		if err := checkHostName(dns); err != nil {
			return Names{}, err
		}
		names.DNS = append(names.DNS, dns)
	}
	return names.canonical(), nil
}

// NamesOf are the DNS names and IP addresses of a certificate.
func NamesOf(c *x509.Certificate) Names {
	names := Names{DNS: slices.Clone(c.DNSNames)}
	for _, ip := range c.IPAddresses {
		if addr, ok := netip.AddrFromSlice(ip); ok {
			names.IPs = append(names.IPs, addr.Unmap().String())
		}
	}
	return names.canonical()
}

// With gives the union of both.
func (n Names) With(other Names) Names {
	return Names{
		DNS: append(slices.Clone(n.DNS), other.DNS...),
		IPs: append(slices.Clone(n.IPs), other.IPs...),
	}.canonical()
}

// Equal reports whether both name the same.
func (n Names) Equal(other Names) bool {
	return slices.Equal(n.DNS, other.DNS) && slices.Equal(n.IPs, other.IPs)
}

// Len is the number of names.
func (n Names) Len() int { return len(n.DNS) + len(n.IPs) }

// List is all names as untyped text: DNS names first, then addresses.
func (n Names) List() []string { return append(slices.Clone(n.DNS), n.IPs...) }

func (n Names) canonical() Names {
	for i, name := range n.DNS {
		n.DNS[i] = strings.ToLower(name)
	}
	slices.Sort(n.DNS)
	slices.Sort(n.IPs)
	return Names{DNS: slices.Compact(n.DNS), IPs: slices.Compact(n.IPs)}
}

func checkHostName(name string) error {
	if len(name) > 253 {
		return &NameError{name, "a host name has at most 253 characters"}
	}
	for i, label := range strings.Split(name, ".") {
		if i == 0 && label == "*" && strings.Contains(name, ".") {
			continue
		}
		switch {
		case label == "":
			return &NameError{name, "a label is empty"}
		case len(label) > 63:
			return &NameError{name, "a label has more than 63 characters"}
		case label[0] == '-' || label[len(label)-1] == '-':
			return &NameError{name, "a label begins or ends with a hyphen"}
		}
		if bad := strings.IndexFunc(label, notHostNameRune); bad >= 0 {
			return &NameError{name, "only letters, digits, hyphens and dots make a host name"}
		}
	}
	return nil
}

func notHostNameRune(r rune) bool {
	return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-'
}

// shorten keeps hostile text from filling a log or a status.
func shorten(text string) string {
	const limit = 80
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + "…"
}
