// SPDX-License-Identifier: AGPL-3.0-only

package juju

import "errors"

// What a Session reports so that its caller can choose the next step; wrapped with the call and its cause.
var (
	// ErrNotLeader: leadership was needed and is not, or no longer, ours. Nothing was committed but perhaps secrets.
	ErrNotLeader = errors.New("not the leader")
	// ErrMoved: another unit of the application wrote what the changes rest on. Nothing was committed.
	ErrMoved = errors.New("overtaken by another unit")
	// ErrUnreachable: the controller or the hook tools' socket cannot be reached, or the connection broke. Whether a
	// commit under way took effect is unknown; the next snapshot tells.
	ErrUnreachable = errors.New("juju is unreachable")
)
