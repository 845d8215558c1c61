// SPDX-License-Identifier: AGPL-3.0-only

package audit

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/signet-charm/signet/internal/ledger"
)

// security is one security event as Canonical's SSDLC wants it: the words are those of OWASP's Logging Vocabulary.
type security struct {
	DateTime    string `json:"datetime"`
	AppID       string `json:"appid"`
	Type        string `json:"type"`
	Event       string `json:"event"`
	Level       string `json:"level"`
	Description string `json:"description"`
}

// The vocabulary's levels.
const (
	info     = "INFO"
	warn     = "WARN"
	critical = "CRITICAL"
)

// AppID names who tells a security event: "<model UUID>-<unit>".
func AppID(model, unit string) string { return model + "-" + unit }

// Event gives the security event that an entry of the record is, as one line of JSON; false for an entry that is none.
// What others wrote is escaped and cut, so that it can neither end the line nor play with a terminal.
func Event(appID string, entry ledger.Entry) (line string, told bool) {
	event, level, description := vocabulary(entry)
	if event == "" {
		return "", false
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // a checkpoint stays as it is
	err := encoder.Encode(security{
		DateTime: entry.Time.UTC().Format(time.RFC3339Nano), AppID: Plain(appID, 200), Type: "security",
		Event: Plain(event, 300), Level: level, Description: description,
	})
	return strings.TrimSuffix(text.String(), "\n"), err == nil
}

// vocabulary gives the event that an entry is, in OWASP's words; empty for none. A certificate is what the vocabulary
// calls a token: it lets in who holds it.
func vocabulary(e ledger.Entry) (event, level, description string) {
	if e.Remembered { // others did it, and told it then
		return "", "", ""
	}
	who, rule := Asker(e), cmp.Or(e.Rule, e.Code)
	switch e.Event {
	case ledger.Issued:
		description = fmt.Sprintf("certificate %s for %s was issued to %s", e.Serial, Plain(e.Subject, 200), Plain(who, 200))
		if e.Before != "" {
			description += ", replacing " + Plain(e.Before, 60)
		}
		return words("authn_token_created", who, e.Serial), info, description
	case ledger.Revoked:
		return words("authn_token_revoked", who, e.Serial), info, fmt.Sprintf("certificate %s was revoked: %s", e.Serial, cmp.Or(Plain(e.Reason, 200), "unspecified"))
	case ledger.Withdrawn:
		return words("authn_token_delete", who, e.Serial), warn, fmt.Sprintf("certificate %s of %s is no longer published", e.Serial, Plain(who, 200))
	case ledger.Held:
		return words("authn_token_reuse", who, e.Serial), critical, fmt.Sprintf("certificate %s of %s is revoked for good and still asked for", e.Serial, Plain(who, 200))
	case ledger.Refused:
		return words("input_validation_fail", "certificate", who), warn, "no certificate was issued: " + Plain(e.Reason, 300)
	case ledger.Denied:
		return denied(e, who, rule)
	case ledger.Reported:
		return words("authz_fail", who, rule), warn, fmt.Sprintf("%s would be refused to %s, but the policy only reports: %s", Plain(e.Item, 200), Plain(who, 200), Plain(e.Reason, 300))
	case ledger.Authority:
		return authority(e)
	case ledger.Action:
		description = fmt.Sprintf("an operator ran the action %s (%s): %s", Plain(e.Item, 60), Plain(e.Detail, 600), Plain(e.After, 60))
		if e.Reason != "" {
			description += ": " + Plain(e.Reason, 300)
		}
		return words("authz_admin", "operator", e.Item), warn, description
	case ledger.Checkpoint:
		return words("sensitive_create", "audit", "checkpoint"), info, "the record of decisions was signed: " + e.Detail
	}
	return "", "", ""
}

// denied tells a refusal by whether who asked may not have it, asks too often, or asks for what makes no sense.
func denied(e ledger.Entry, who, rule string) (event, level, description string) {
	description = fmt.Sprintf("%s was refused to %s: %s", Plain(e.Item, 200), Plain(who, 200), Plain(e.Reason, 300))
	switch e.Code {
	case "too-many", "repeated":
		return words("excess_rate_limit_exceeded", who, rule), warn, description
	case "malformed", "too-large", "bad-signature", "unsignable":
		return words("input_validation_fail", rule, who), warn, description
	case "revoked":
		return words("authn_token_reuse", who, rule), critical, description
	case "not-signed": // nobody did anything wrong
		return "", "", ""
	}
	return words("authz_fail", who, rule), critical, description
}

// authority tells of a CA's life: its key is what must not be had by others.
func authority(e ledger.Entry) (event, level, description string) {
	ca := "ca-" + strconv.Itoa(e.Generation)
	description = fmt.Sprintf("CA %d is %s now", e.Generation, Plain(e.After, 60))
	word := "sensitive_update"
	switch {
	case e.Before == "":
		word = "sensitive_create"
	case e.After == "withdrawn":
		word = "sensitive_delete"
	}
	if e.Before != "" {
		description += ", and was " + Plain(e.Before, 60)
	}
	if e.Reason != "" {
		description += ": " + Plain(e.Reason, 300)
	}
	return words(word, "signet", ca), warn, description
}

// words puts an event of the vocabulary and its parameters together.
func words(event string, parameters ...string) string {
	for i, parameter := range parameters {
		parameters[i] = strings.NewReplacer(",", "_", ":", "_").Replace(Plain(cmp.Or(parameter, "-"), 100))
	}
	return event + ":" + strings.Join(parameters, ",")
}

// Asker names who asked, by Juju's names where they are known.
func Asker(e ledger.Entry) string {
	switch {
	case e.Unit != "":
		return e.Unit
	case e.App != "":
		return e.App
	case e.Event == ledger.Denied || e.Event == ledger.Reported:
		return fmt.Sprintf("relation %d", e.Relation)
	}
	return e.For
}

// Plain gives a text that somebody else wrote as it can be shown: on one line, without what terminals obey or what turns
// the direction of writing, and no longer than a number of characters.
func Plain(text string, most int) string {
	runes := []rune(text[:min(len(text), 4*most+4)])
	cut := len(runes) > most || len(text) > 4*most+4
	quoted := strconv.QuoteToGraphic(string(runes[:min(len(runes), most)]))
	quoted = strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(quoted[1 : len(quoted)-1])
	if cut {
		quoted += "…"
	}
	return quoted
}
