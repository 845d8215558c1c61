// SPDX-License-Identifier: AGPL-3.0-only

package dialect

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/juju"
)

// Keys of the legacy dialect, all in unit databags: first what a requirer writes (protocol A.2), then what a provider
// writes for everybody (A.3).
const (
	keyUnitName        = "unit_name"
	keyCommonName      = "common_name"
	keySANs            = "sans"
	keyCertificateName = "certificate_name"

	keyCA         = "ca"
	keyChain      = "chain"
	keyClientCert = "client.cert"
	keyClientKey  = "client.key"
)

// Suffixes of the keys that answer one unit; its munged name goes before the dot.
const (
	suffixServerCert = "server.cert"
	suffixServerKey  = "server.key"
)

// appData is the key under which the application's shared certificate stands, in place of a common name.
const appData = "app_data"

// legacyKinds are the kinds that the dialect knows, in the order in which they are read.
func legacyKinds() []cert.Kind {
	return []cert.Kind{cert.Server, cert.Client, cert.Intermediate, cert.Application}
}

// requestKey is where requests of a kind stand: {"<common name>": {"sans": [...]}}.
func requestKey(kind cert.Kind) string {
	switch kind {
	case cert.Client:
		return "client_cert_requests"
	case cert.Intermediate:
		return "intermediate_cert_requests"
	case cert.Application:
		return "application_cert_requests"
	default:
		return "cert_requests"
	}
}

// answerSuffix is where answers of a kind stand: {"<common name>": {"cert": "...", "key": "..."}}.
func answerSuffix(kind cert.Kind) string {
	switch kind {
	case cert.Client:
		return "processed_client_requests"
	case cert.Intermediate:
		return "processed_intermediate_requests"
	case cert.Application:
		return "processed_application_requests"
	default:
		return "processed_requests"
	}
}

// ownerOf gives the munged unit that a key of a provider's databag answers; false for all other keys.
func ownerOf(key string) (unit string, answers bool) {
	unit, suffix, _ := strings.Cut(key, ".")
	if !isMungedUnit(unit) {
		return "", false
	}
	if suffix == suffixServerCert || suffix == suffixServerKey {
		return unit, true
	}
	for _, kind := range legacyKinds() {
		if suffix == answerSuffix(kind) {
			return unit, true
		}
	}
	return "", false
}

// wish is a request of the legacy dialect, before it is known under which name its answer is filed.
type wish struct {
	kind       cert.Kind
	commonName string
	names      cert.Names
	item       string
}

// legacy reads one unit's databag. The names of an application request go into the application's union.
func (r *reader) legacy(unit, name string, bag juju.Bag, application *union) {
	wishes, refusals := r.memory.legacyWishes(bag)
	for _, why := range refusals {
		r.deny(unit, why, "")
	}
	for _, w := range wishes {
		if w.kind == cert.Application {
			if !application.add(unit, w.commonName, w.names) {
				r.deny(unit, refusal{w.item, TooLarge, tooManyNames()}, "")
			}
			continue
		}
		r.reading.Asks = append(r.reading.Asks, Ask{
			Relation: r.rel.ID, App: r.rel.RemoteApp, Unit: unit, Dialect: Legacy,
			Kind: w.kind, Name: name, CommonName: w.commonName, Names: w.names,
		})
	}
}

// legacyWishes are the requests in a unit databag: the top-level server request first, then each kind by common name.
// The same common name asked twice as a server (OPSIF writes its last request twice) is one wish for all the names.
func legacyWishes(bag juju.Bag) ([]wish, []refusal) {
	requests, refusals := legacyRequests(bag)
	var wishes []wish
	servers := map[string]int{}
	for _, request := range requests {
		w, err := request.wish()
		if err != nil {
			refusals = append(refusals, refuse(request.item, err))
			continue
		}
		if w.kind == cert.Server {
			if first, found := servers[w.commonName]; found {
				wishes[first].names = wishes[first].names.With(w.names)
				continue
			}
			servers[w.commonName] = len(wishes)
		}
		wishes = append(wishes, w)
	}
	return wishes, refusals
}

// legacyRequest is one request whose details are not looked at yet.
type legacyRequest struct {
	kind       cert.Kind
	commonName string
	item       string
	sans       func() (json.RawMessage, error)
}

// legacyRequests finds at most maxRequests requests in a databag; all others are refused as one.
func legacyRequests(bag juju.Bag) ([]legacyRequest, []refusal) {
	var requests []legacyRequest
	var refusals []refusal
	if name := bag[keyCommonName]; name != "" {
		requests = append(requests, legacyRequest{cert.Server, name, keyCommonName, func() (json.RawMessage, error) {
			if bag[keySANs] == "" {
				return nil, nil
			}
			return document(bag[keySANs], maxValue)
		}})
	}
	excess, firstExcess := 0, ""
	for _, kind := range legacyKinds() {
		key := requestKey(kind)
		if bag[key] == "" {
			continue
		}
		members, doubled, err := requestMembers(bag[key])
		if err != nil {
			refusals = append(refusals, refuse(key, err))
			continue
		}
		room := max(0, maxRequests-len(requests)-len(refusals))
		if surplus := len(members) + len(doubled) - room; surplus > 0 {
			if excess += surplus; firstExcess == "" {
				firstExcess = key
			}
			members = members[:min(room, len(members))]
			doubled = doubled[:room-len(members)]
		}
		for _, name := range doubled {
			refusals = append(refusals, refusal{named(key, name), Malformed, "it occurs more than once in the object"})
		}
		for _, m := range members {
			requests = append(requests, legacyRequest{kind, m.name, named(key, m.name), func() (json.RawMessage, error) {
				details, err := record(m.value)
				return details[keySANs], err
			}})
		}
	}
	if excess > 0 {
		refusals = append(refusals, tooManyRequests(firstExcess, excess))
	}
	return requests, refusals
}

func tooManyRequests(key string, excess int) refusal {
	return refusal{key, TooMany, fmt.Sprintf("%d requests are beyond the %d that are served in one databag", excess, maxRequests)}
}

func tooManyNames() string {
	return fmt.Sprintf("a certificate with more than %d names is not made", maxNames)
}

// requestMembers takes the value of a request key apart, sorted by common name.
func requestMembers(value string) (members []member, doubled []string, err error) {
	raw, err := document(value, maxValue)
	if err != nil || kindOf(raw) == aNull {
		return nil, nil, err
	}
	if kindOf(raw) == aList {
		items, err := list(raw)
		if err != nil || len(items) == 0 {
			return nil, nil, err
		}
		// Library v0 filed answers under keys named by the common name, "ca" among them (protocol A.9).
		return nil, nil, malformed("it is a list, the form of the retired library v0, which is not served; " +
			"an object is expected")
	}
	members, doubled, err = object(raw)
	slices.SortFunc(members, func(a, b member) int { return strings.Compare(a.name, b.name) })
	slices.Sort(doubled)
	return members, doubled, err
}

// wish looks at the details of a request.
func (r legacyRequest) wish() (wish, error) {
	if err := checkCommonName(r.commonName); err != nil {
		return wish{}, err
	}
	raw, err := r.sans()
	if err != nil {
		return wish{}, err
	}
	untyped, err := strs(raw)
	if err != nil {
		return wish{}, malformed("sans: %s", err)
	}
	if r.kind == cert.Application { // the union holds the common names as well (protocol A.2)
		untyped = append(untyped, r.commonName)
	}
	names, err := cert.ParseNames(untyped)
	if err != nil {
		return wish{}, badName(err)
	}
	if names.Len() > maxNames {
		return wish{}, &misfit{TooLarge, tooManyNames()}
	}
	return wish{r.kind, r.commonName, names, r.item}, nil
}

// checkCommonName refuses what cannot be meant as a common name. How long one may be is the authority's decision.
func checkCommonName(name string) error {
	switch {
	case checkText(name) != nil:
		return checkText(name)
	case strings.TrimSpace(name) == "":
		return malformed("the common name is empty")
	case strings.TrimSpace(name) != name:
		return &misfit{BadName, "the common name begins or ends with white space"}
	case len(name) > 253:
		return &misfit{BadName, fmt.Sprintf("the common name has %d bytes, more than 253", len(name))}
	case strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }): // which no certificate may say
		return &misfit{BadName, "the common name has a character that does not print"}
	}
	return nil
}

// badName tells which name cannot stand in a certificate.
func badName(err error) error {
	var wrong *cert.NameError
	if !errors.As(err, &wrong) {
		return err
	}
	code := BadName
	if strings.Contains(wrong.Name, "*") {
		code = BadWildcard
	}
	return &misfit{code, fmt.Sprintf("name %s: %s", quote(wrong.Name), wrong.Reason)}
}
