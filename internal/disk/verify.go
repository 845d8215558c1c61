// SPDX-License-Identifier: AGPL-3.0-only

package disk

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/signet-charm/signet/internal/audit"
	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/ledger"
)

// Evidence is what a journal is held against, besides itself.
type Evidence struct {
	Checkpoints []audit.Signed      // kept elsewhere
	Authorities []*x509.Certificate // whose checkpoints are believed; none: those that the journal itself names
	Unit        string              // whose journal it is; empty for the one that its checkpoints name
}

// Findings are what there is to say of a journal.
type Findings struct {
	Lines       int            `json:"lines"`
	Entries     int            `json:"entries"`
	Events      map[string]int `json:"events"`
	Elsewhere   int            `json:"elsewhere"` // certificates that other programs or units issued
	Checkpoints int            `json:"checkpoints"`
	Covered     int            `json:"covered"`  // lines that a verified checkpoint vouches for
	External    int            `json:"external"` // checkpoints kept elsewhere that lie on the journal
	PassedOver  int            `json:"passed-over"`
	First       time.Time      `json:"first,omitzero"`
	Last        time.Time      `json:"last,omitzero"`
	Unit        string         `json:"unit,omitempty"`
	Model       string         `json:"model,omitempty"`    // UUID; empty where no checkpoint in the journal names it
	Notes       []string       `json:"notes,omitempty"`    // nothing wrong, but to be known
	Problems    []string       `json:"problems,omitempty"` // any of these, and the journal is not sound

	Recorded []ledger.Entry `json:"-"` // as far as they can be believed
}

// Sound reports whether nothing is wrong with the journal.
func (f Findings) Sound() bool { return len(f.Problems) == 0 }

func (f *Findings) problem(format string, args ...any) {
	f.Problems = append(f.Problems, fmt.Sprintf(format, args...))
}

func (f *Findings) note(format string, args ...any) {
	f.Notes = append(f.Notes, fmt.Sprintf(format, args...))
}

// JournalPath is where a state folder has its journal.
func JournalPath(root string) string { return filepath.Join(root, journalName) }

// VerifyJournal judges a journal: by the checksums of its lines, by what can follow what, and by the checkpoints in it and
// those kept elsewhere. It needs no lock, and changes nothing. The error is only that the file cannot be read.
func VerifyJournal(path string, evidence Evidence) (Findings, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Findings{}, trouble("read", path, err)
	}
	v := verifier{evidence: evidence, sums: []string{""}, found: Findings{Unit: evidence.Unit, Events: map[string]int{}}}
	v.read(text)
	v.holdAgainstOwn()
	v.holdAgainstOthers()
	return v.found, nil
}

// verifier is one run of VerifyJournal.
type verifier struct {
	evidence  Evidence
	found     Findings
	reserved  map[string]string // order by serial number
	submitted map[string]bool   // by order: a CA elsewhere was asked, which draws its own serial numbers
	sums      []string          // SHA-256 of the first n lines
	own       []placed
	known     []*x509.Certificate // CAs that signed checkpoints, as the journal says
}

// placed is a checkpoint that stands in the journal.
type placed struct {
	audit.Signed

	line int
}

// read follows the lines as far as they can be believed.
func (v *verifier) read(text []byte) {
	v.reserved, v.submitted = map[string]string{}, map[string]bool{}
	journal := Journal{whole: sha256.New()}
	for rest := text; len(rest) > 0; {
		line, after, whole := bytes.Cut(rest, []byte("\n"))
		batch, sum, err := decodeLine(journal.sum, line)
		number := journal.lines + 1
		switch {
		case !whole, err != nil && len(after) == 0 && bytes.IndexByte(line, 0) >= 0:
			v.found.note("line %d is torn: a crash cut it off, or it is being written now; it counts as not written", number)
			return
		case err != nil:
			v.found.problem("line %d was changed, or a line before it was put in, removed or moved: %v", number, err)
			return
		}
		if err := journal.admissible(batch); err != nil {
			v.found.problem("line %d contradicts those before it: %v", number, err)
			return
		}
		journal.accept(batch, sum, rest[:len(line)+1])
		v.sums = append(v.sums, hex.EncodeToString(journal.whole.Sum(nil)))
		v.found.Lines = journal.lines
		for _, entry := range batch {
			v.take(number, entry)
		}
		rest = after
	}
}

// take counts one entry, and holds it against the rules that the ledger does not know.
func (v *verifier) take(line int, entry ledger.Entry) {
	v.found.Recorded = append(v.found.Recorded, entry)
	v.found.Entries++
	v.found.Events[string(entry.Event)]++
	if !entry.Remembered {
		if v.found.First.IsZero() {
			v.found.First = entry.Time
		}
		v.found.Last = entry.Time
	}
	switch entry.Event {
	case ledger.Reserved:
		v.reserved[entry.Serial] = entry.Order
	case ledger.Submitted:
		v.submitted[entry.Order] = true
	case ledger.Issued, ledger.Refused:
		_, reserved := v.reserved[entry.Serial]
		switch {
		case entry.Serial == "" || reserved || v.submitted[entry.Order]:
		case entry.Remembered || entry.Order == "" || len(v.own) == 0: // before the first checkpoint nothing else says so
			v.found.Elsewhere++
		default:
			v.found.problem("line %d: serial %s was %s without having been reserved", line, entry.Serial, entry.Event)
		}
	case ledger.Checkpoint:
		v.takeCheckpoint(line, entry)
	}
}

func (v *verifier) takeCheckpoint(line int, entry ledger.Entry) {
	signed, err := audit.Parse(entry.Detail)
	if err != nil {
		v.found.problem("line %d: the checkpoint cannot be read: %v", line, err)
		return
	}
	if certificate, err := cert.Parse(entry.Certificate); err == nil {
		v.known = append(v.known, certificate)
	}
	v.found.Checkpoints++
	v.own = append(v.own, placed{signed, line})
	if v.found.Unit == "" {
		v.found.Unit = signed.Unit
	}
	if v.found.Model == "" {
		v.found.Model = signed.Model
	}
}

// holdAgainstOwn verifies the checkpoints in the journal. Later ones cover what earlier ones do, so it is the last one that
// must be of a CA that was given; who signed the others, the journal may say itself.
func (v *verifier) holdAgainstOwn() {
	for i, checkpoint := range v.own {
		what := fmt.Sprintf("the checkpoint in line %d", checkpoint.line)
		believed := v.known
		if last := i == len(v.own)-1; last && len(v.evidence.Authorities) > 0 {
			believed = v.evidence.Authorities
		}
		switch {
		case checkpoint.Unit != v.found.Unit:
			v.found.problem("%s is of another unit's record, %s", what, checkpoint.Unit)
		case checkpoint.Model != v.found.Model: // which a migration to another controller does not change
			v.found.problem("%s is of another model's record, %s", what, checkpoint.Model)
		case checkpoint.Lines >= checkpoint.line:
			v.found.problem("%s counts lines that come after it", what)
		case v.holds(what, checkpoint.Signed, believed):
			v.found.Covered = max(v.found.Covered, checkpoint.Lines)
		}
	}
	switch {
	case len(v.own) == 0 && len(v.evidence.Checkpoints) == 0 && v.found.Lines > 0:
		v.found.note("no checkpoint vouches for it: who can write the file could have written all of it anew")
	case len(v.evidence.Authorities) == 0 && len(v.own) > 0:
		v.found.note("which CA signs checkpoints is taken from the journal itself: --ca FILE (from get-root-ca) says it from elsewhere")
	}
}

// holdAgainstOthers verifies the checkpoints that were kept elsewhere.
func (v *verifier) holdAgainstOthers() {
	believed := slices.Concat(v.evidence.Authorities, v.known) // an older one may be of a CA that is gone
	for _, checkpoint := range v.evidence.Checkpoints {
		if v.found.Unit != "" && checkpoint.Unit != v.found.Unit || v.found.Model != "" && checkpoint.Model != v.found.Model {
			v.found.PassedOver++
			continue
		}
		what := "the checkpoint of " + checkpoint.Time.Format(time.RFC3339)
		if v.holds(what, checkpoint, believed) {
			v.found.External++
			v.found.Covered = max(v.found.Covered, checkpoint.Lines)
		}
	}
	if len(v.evidence.Checkpoints) > 0 && v.found.External == 0 && v.found.PassedOver == len(v.evidence.Checkpoints) {
		v.found.problem("none of the checkpoints that were given is of %s in this model: see --unit", v.found.Unit)
	}
}

// holds verifies one checkpoint's signature, and that the journal begins as it says.
func (v *verifier) holds(what string, checkpoint audit.Signed, believed []*x509.Certificate) bool {
	switch {
	case checkpoint.Lines > v.found.Lines:
		v.found.problem("%s counts %d lines, of which the journal has the first %d: its end was cut off, or it cannot be followed so far",
			what, checkpoint.Lines, v.found.Lines)
	case v.sums[checkpoint.Lines] != checkpoint.Sum:
		v.found.problem("the first %d lines are not those that %s vouches for: they were written anew", checkpoint.Lines, what)
	case !slices.ContainsFunc(believed, checkpoint.VerifiedBy):
		v.found.problem("%s is not signed by a CA that is known: is the certificate that --ca gives the right one?", what)
	default:
		return true
	}
	return false
}
