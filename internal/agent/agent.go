// SPDX-License-Identifier: AGPL-3.0-only

// Package agent carries out what package unit decides: Turn takes one turn of snapshot, decision, orders and commit;
// Serve takes one whenever something changes or a wake comes, and answers hooks on a local socket. Where to look
// next: turn.go, then package unit for what is decided and packages ca and disk for who carries orders out.
package agent

import (
	"context"
	"log/slog"
	"time"

	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/ledger"
	"github.com/signet-charm/signet/internal/order"
	"github.com/signet-charm/signet/internal/provider"
	"github.com/signet-charm/signet/internal/view"
)

// Session is one unit's view of its controller and its one way to change it. Implementations need not be safe for
// concurrent use: one lock on the unit's folder keeps turns apart.
type Session interface {
	// Snapshot reads everything the unit may see. Broken relations are included while Juju still shows them.
	Snapshot(context.Context) (juju.Snapshot, error)
	// Commit makes the changes: secrets first, then bags and unit state all or nothing, the status last. It checks
	// leadership again where the changes need it (juju.ErrNotLeader). A secret that exists with the label and content of one
	// to be created is that secret; one with another content is another leader's (juju.ErrMoved).
	Commit(context.Context, juju.Changes) error
}

// Carrier carries out orders. One order ID has one effect, however often it is carried: a repeated order gets the
// first answer again, also after a crash. Safe for concurrent use.
type Carrier interface {
	Carry(context.Context, order.Order) order.Answer
}

// Authority carries order.Sign and the orders of package order's authority.go.
type Authority interface {
	Carrier
	// Authorities tells which CAs this unit can sign for, as juju.Snapshot.Local.
	Authorities() (map[string]string, error)
	// Prune drops the private keys that were kept, since before a time, only to answer a repeated order.
	Prune(before time.Time) error
}

// Folder is the unit's own state folder. What it records and carries out is durable when the call returns.
type Folder interface {
	Carrier // orders that only touch the disk
	// Lock keeps other processes of this unit from taking a turn until unlock is called.
	Lock(context.Context) (unlock func() error, err error)
	// Survey tells what lies on disk, as juju.Snapshot.Local.
	Survey() (map[string]string, error)
	// Append records entries before the orders they speak of are carried out.
	Append(...ledger.Entry) error
	// View shows what is recorded; it must not be kept, or changed, after look returns.
	View(look func(*ledger.Ledger)) error
}

// Machine is what the unit's machine has besides the unit's folder.
type Machine interface {
	Carrier // order.RefreshTrust, order.Reload
	// Survey tells what the machine is called and which of its programs have run, as juju.Snapshot.Local.
	Survey() (map[string]string, error)
}

// Keeper carries order.ReadAuthority and the orders about archives: what comes from outside of the unit's folder, or is
// to be taken out of it.
type Keeper = Carrier

// Unit is all that one turn of a unit needs.
type Unit struct {
	Session   Session
	Authority Authority
	Folder    Folder
	Machine   Machine
	Keeper    Keeper
	Leftovers func() (map[string]string, error)          // tells, as juju.Snapshot.Local, what another charm left; nil for nothing
	Publish   func(provider.Serve)                       // shows what is served, after each turn; nil where nothing can be
	Tell      func(appID string, entries []ledger.Entry) // is told what was recorded; nil for nobody
	Now       func() time.Time
	Log       *slog.Logger
	Installed func() ([]view.Installed, error) // tells what certificates lie on the disk; nil for none
	Version   string                           // of this program, to be shown
	telling   bool                             // it is known what was told
	told      int                              // how many entries of the record
	sight                                      // what turns came to
	Trouble   string                           // why a hook takes the turn although an agent runs, for the status; empty for no trouble
}

// Outcome is what a turn came to.
type Outcome struct {
	Status juju.Status // as it now stands in Juju
	Wake   time.Time   // take another turn no later than this; zero means never
	Result juju.Result // of an action

	Published bool // databags were written
}
