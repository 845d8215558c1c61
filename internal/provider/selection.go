// SPDX-License-Identifier: AGPL-3.0-only

package provider

import (
	"fmt"
	"slices"
	"strings"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
)

// selection says which certificates an operator means: those that fit everything that is said.
type selection struct {
	serial, name, unit, application string
	relation                        int // negative for any
}

// selected reads what an operator says of the certificates that are meant.
func selected(params *juju.Config) (selection, error) {
	given := params.Text("serial", "")
	chosen := selection{
		serial: strings.TrimLeft(strings.ToLower(strings.ReplaceAll(given, ":", "")), "0"), name: params.Text("name", ""),
		unit: params.Text("unit", ""), application: params.Text("application", ""), relation: params.Count("relation", -1, -1, 1<<30),
	}
	if given != "" && (chosen.serial == "" || len(chosen.serial) > 40 || strings.Trim(chosen.serial, "0123456789abcdef") != "") {
		return chosen, fmt.Errorf("serial %q is not a hexadecimal number of at most 20 octets", given)
	}
	return chosen, nil
}

// everything reports whether nothing is said, so that all are meant.
func (c selection) everything() bool { return c == selection{relation: -1} }

// onlySerial reports whether nothing but a serial number is said.
func (c selection) onlySerial() bool { return c == selection{serial: c.serial, relation: -1} }

// fits reports whether a certificate that is published is meant.
func (s *step) fits(chosen selection, relation juju.Relation, held dialect.Held) bool {
	return (chosen.relation < 0 || relation.ID == chosen.relation) &&
		(chosen.application == "" || relation.RemoteApp == chosen.application) &&
		(chosen.serial == "" || cert.SerialText(held.Leaf.SerialNumber) == chosen.serial) &&
		(chosen.name == "" || goesBy(held, chosen.name)) &&
		(chosen.unit == "" || s.belongs(relation, held, chosen.unit))
}

func goesBy(held dialect.Held, name string) bool {
	return held.Leaf.Subject.CommonName == name || slices.Contains(cert.NamesOf(held.Leaf).List(), name)
}

// fitsAsk reports whether an ask, or the certificate that it has, is meant.
func (c selection) fitsAsk(asked Asked) bool {
	ask := asked.Ask
	serial, names := "", append(ask.Names.List(), ask.CommonName)
	if asked.Leaf != nil {
		serial = cert.SerialText(asked.Leaf.SerialNumber)
		names = append(names, append(cert.NamesOf(asked.Leaf).List(), asked.Leaf.Subject.CommonName)...)
	}
	return (c.relation < 0 || ask.Relation == c.relation) && (c.application == "" || ask.App == c.application) &&
		(c.serial == "" || serial == c.serial) && (c.name == "" || slices.Contains(names, c.name)) && (c.unit == "" || ask.Unit == c.unit)
}
