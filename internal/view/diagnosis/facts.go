// SPDX-License-Identifier: AGPL-3.0-only

package diagnosis

import (
	"time"

	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/ledger"
	"github.com/signet-charm/signet/internal/view"
)

// Facts are what is known of a unit and its machine. The zero value of each is that it is not known. No secret is in them.
type Facts struct {
	Now     time.Time
	Unit    string
	Version string    // of the program that asks
	View    view.View // of the agent; of the disk where none answers

	Agent       Agent
	Folder      Folder
	Certificate []Laid
	Links       []Outside
	Trust       []Outside // in the trust store's folder
	Store       string    // PEM: what the machine as a whole trusts
	Record      Record
	Backups     Backups
	Conf        Conf
	Controllers []Reach
	Served      []Served // by who uses certificates that this unit has
	Listening   *Listening
	FIPS        FIPS
}

// Agent is the unit's long-running process.
type Agent struct {
	Answers bool
	Trouble string // why it does not, or why it shows nothing
	Wanted  bool   // systemd runs here, which should start it
	Service string // as systemd calls it
	Socket  string // path
	Mode    string // of the socket, such as "0600"; empty where there is none
}

// Folder is the unit's state folder.
type Folder struct {
	Root       string
	Loose      []string // what of it others may read or enter
	Foreign    []string // what of it is another user's
	Left       []Left   // half-written files
	Kept       []Left   // keys of answers that nobody asked for again
	Free, Size uint64   // bytes
	FreeNodes  uint64
	Nodes      uint64 // zero where the file system does not count them
	Trouble    string // why it cannot be looked at
}

// Left is what should be gone.
type Left struct {
	Path  string
	Since time.Time
}

// Laid is a certificate that lies beside its key on this machine.
type Laid struct {
	Path    string
	PEM     string // with those that follow it
	CA      string // PEM: what lies beside it to be trusted
	Key     string // "fits", "differs", "absent", "unread"
	Mode    uint32 // of the key
	Owner   string // of the key, "user:group"
	OpenSSL string // why openssl(1) does not verify it; empty where it does, or is not installed
}

// Outside is a file that was laid where other programs look.
type Outside struct {
	Path    string
	Wanted  string // the target of a link
	Trouble string
	Text    string
}

// Record is the unit's record of decisions.
type Record struct {
	Path     string
	Absent   bool
	Trouble  string // why it cannot be read
	Problems []string
	Last     time.Time
	Entries  []ledger.Entry
}

// Backups are those that lie on this machine.
type Backups struct {
	Number  int
	Newest  time.Time
	Trouble string
}

// Conf is the unit's agent.conf.
type Conf struct {
	Path    string
	Absent  bool
	Mode    uint32
	Trouble string // why it cannot be used
}

// Reach is one address of the controller.
type Reach struct {
	Address  string
	Trouble  string        // why nobody is reached there, or who is reached is not trusted
	Replied  bool          // somebody answered, whoever it is
	NotAfter time.Time     // of its certificate
	Ahead    time.Duration // by how much its clock is ahead of this one
	Dated    bool          // that is known
}

// Served is what an address serves, where a certificate of this unit's should be.
type Served struct {
	Address  string
	Path     string // of the certificate that is expected; empty where any is
	Expected string // its serial number
	Serial   string
	Name     string
	NotAfter time.Time
	Refused  bool   // nobody listens
	Trouble  string // of the connection
	Unproven string // why what it serves does not verify
	Asked    bool   // the operator asked for this address
}

// Listening is what this unit serves over HTTP.
type Listening struct {
	Address string
	Trouble string // of the connection
	Health  string // what it says of itself, where that is not well
	CRL     string // trouble with the revocation list
	OCSP    string // trouble with an answer
	Asked   bool   // OCSP was asked
}

// FIPS is how cryptography runs.
type FIPS struct {
	Mode   string // "on", "only", "off"
	Asked  string // by the environment
	Kernel bool   // the machine is in FIPS mode
}

// blocked reports whether the unit's status is of a level, with its message.
func (f *Facts) is(level juju.Level) (string, bool) {
	return f.View.Status.Message, f.View.Status.Level == level
}

// fromAgent reports whether the agent told what there is to see.
func (f *Facts) fromAgent() bool { return f.View.Source == view.FromAgent }

// application is the unit's.
func (f *Facts) application() string { return juju.ApplicationOf(f.Unit) }
