// SPDX-License-Identifier: AGPL-3.0-only

package docs

import (
	"fmt"
	"io/fs"
	"strings"

	"github.com/signet-charm/signet/internal/dialect"
)

func codesPage(fs.FS) (string, error) {
	var w writing
	w.begin("Codes of refusals", "internal/dialect/explain.go",
		`A request that is refused has a code. It stands in the unit's status, in `+"`request_errors`"+` where the dialect has them (as
`+"`reason`"+`), in the record (`+"`signet audit tail`"+`) and in what `+"`signet policy check`"+` says. Where an option allows what was refused, the message has
the command. A temporary refusal takes nothing away that is there, and is tried again by itself.`)
	w.row(true, "code", "what it means", "what to do", "temporary", "request_errors")
	for _, one := range dialect.Explanations() {
		number, name := one.Code.Wire()
		temporary := "no"
		if one.Code.Temporary() {
			temporary = "yes"
		}
		w.row(false, fmt.Sprintf("`%s`", one.Code), sentence(one.Meaning), sentence(one.Next), temporary, fmt.Sprintf("%d %s", number, name))
	}
	return w.String(), nil
}

// sentence makes one of a text that has neither a capital nor a full stop, unless it begins with a name.
func sentence(text string) string { return strings.ToUpper(text[:1]) + text[1:] + "." }
