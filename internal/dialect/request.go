// SPDX-License-Identifier: AGPL-3.0-only

package dialect

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/juju"
)

// Request gives the complete content of this unit's own databag as a requirer: what it wants, in each of the dialects
// to speak. A dialect not among them is withdrawn with all its keys. Keys of others are not touched, nor are requests
// with members that signet never writes; requests of its own form that are not wanted any more go.
func Request(rel juju.Relation, unit string, wants []Want, speak ...Dialect) juju.Bag {
	bag := maps.Clone(rel.OwnUnit)
	if bag == nil {
		bag = juju.Bag{}
	}
	if slices.Contains(speak, Legacy) {
		requestLegacy(bag, unit, wants)
	} else {
		for _, key := range []string{keyUnitName, keyCommonName, keySANs, keyCertificateName} {
			delete(bag, key)
		}
		for _, kind := range legacyKinds() {
			delete(bag, requestKey(kind))
		}
	}
	if slices.Contains(speak, CSR) {
		requestCSR(bag, wants)
	} else {
		delete(bag, keyRequests)
	}
	return bag
}

// details are what a request says about one common name. EasyRSA fails without sans, so that an empty list is written.
type details struct {
	SANs []string `json:"sans"`
}

func detailsOf(names cert.Names) details {
	return details{SANs: append([]string{}, names.List()...)}
}

// requestLegacy follows the requirers' algorithm (protocol A.2): one server request at the top level, all others by
// common name. What stands at the top level stays there while it is wanted, so that its answer keeps its place.
func requestLegacy(bag juju.Bag, unit string, wants []Want) {
	bag[keyUnitName] = Munge(unit)
	wanted := map[cert.Kind]map[string]cert.Names{}
	top := ""
	for _, want := range wants {
		if want.CommonName == "" {
			continue // the dialect has no other way to name an answer
		}
		if want.Kind == cert.Server && (top == "" || want.CommonName == bag[keyCommonName]) {
			top = want.CommonName
		}
		if wanted[want.Kind] == nil {
			wanted[want.Kind] = map[string]cert.Names{}
		}
		wanted[want.Kind][want.CommonName] = wanted[want.Kind][want.CommonName].With(want.Names)
	}
	requestTopLevel(bag, unit, top, wanted[cert.Server][top])
	delete(wanted[cert.Server], top)
	for _, kind := range legacyKinds() {
		requestByName(bag, requestKey(kind), wanted[kind])
	}
}

func requestTopLevel(bag juju.Bag, unit, commonName string, names cert.Names) {
	if commonName == "" {
		for _, key := range []string{keyCommonName, keySANs, keyCertificateName} {
			delete(bag, key)
		}
		return
	}
	bag[keyCommonName] = commonName
	set(bag, keySANs, detailsOf(names).SANs)
	if bag[keyCertificateName] == "" {
		bag[keyCertificateName] = Munge(unit)
	}
}

func requestByName(bag juju.Bag, key string, wanted map[string]cert.Names) {
	requests := map[string]any{}
	for name, raw := range decodeObject(bag[key]) {
		if foreign(raw, keySANs) {
			requests[name] = raw
		}
	}
	for name, names := range wanted {
		requests[name] = detailsOf(names)
	}
	if len(requests) == 0 {
		delete(bag, key)
		return
	}
	set(bag, key, requests)
}

// foreign reports whether an object has members other than those that signet writes.
func foreign(raw json.RawMessage, ours ...string) bool {
	for name := range decodeObject(string(raw)) {
		if !slices.Contains(ours, name) {
			return true
		}
	}
	return false
}

// requestItemOut is an item of certificate_signing_requests; ca is always written, for v4 providers take no unit
// without it (protocol B.2).
type requestItemOut struct {
	CA      bool   `json:"ca"`
	Request string `json:"certificate_signing_request"`
}

func requestCSR(bag juju.Bag, wants []Want) {
	wanted := map[string]bool{} // request: is for a CA
	var order []string
	for _, want := range wants {
		text := strings.TrimSpace(want.Request)
		if text == "" {
			continue
		}
		if _, known := wanted[text]; !known {
			order = append(order, text)
		}
		wanted[text] = want.Kind == cert.Intermediate
	}
	var list []any
	written := map[string]bool{}
	for _, item := range looseObjects(bag[keyRequests]) {
		var text string
		_ = json.Unmarshal(item[memberRequest], &text) // what is no text is not wanted
		ca, ours := wanted[text]
		switch {
		case ours && !written[text]:
			written[text] = true
			item[memberCA] = json.RawMessage(encode(ca))
			list = append(list, item)
		case !ours && text != "" && foreign(json.RawMessage(encode(item)), memberCA, memberRequest):
			list = append(list, item)
		}
	}
	for _, text := range order {
		if !written[text] {
			list = append(list, requestItemOut{CA: wanted[text], Request: text})
		}
	}
	setList(bag, keyRequests, list)
}
