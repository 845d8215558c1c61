// SPDX-License-Identifier: AGPL-3.0-only

package controller

import (
	"encoding/base64"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/juju/juju/core/secrets"
	"github.com/juju/juju/rpc/params"
	"github.com/juju/names/v5"

	"github.com/signet-charm/signet/internal/juju"
)

// secretKeyPrefix begins the keys of the peer application databag under which the leader tells the other units, who
// cannot list the application's secrets, the URIs of those: "secret.<label>" = "secret:<id>". They belong to the
// sessions: no snapshot shows them, so that no difference removes them.
const secretKeyPrefix = "secret."

// internalBackend is the type of the secret back end that is the controller itself.
const internalBackend = "controller"

// splitSecretKeys parts the keys that name secrets from the rest of the peer databag, and gives the URIs by label.
func splitSecretKeys(bag juju.Bag) (rest juju.Bag, uris map[string]string) {
	rest, uris = juju.Bag{}, map[string]string{}
	for key, value := range bag {
		if label, found := strings.CutPrefix(key, secretKeyPrefix); found {
			uris[label] = value
		} else {
			rest[key] = value
		}
	}
	return rest, uris
}

// ownSecret is one secret of the unit's or the application's, before its content is read.
type ownSecret struct {
	juju.Secret
	id       string // the URI's
	latest   int    // revision; 0 when not known
	checksum string // of the latest revision's content; empty when not known
}

// readSecrets reads the secrets that the unit can know of, by label: its own and, as the leader, the application's are
// listed by the controller; the others find the application's by the URIs that are published in the peer databag.
// Secrets without a label are none of this charm's.
func (c *client) readSecrets(leader bool, published map[string]string) ([]juju.Secret, error) {
	if !c.canSecrets {
		return nil, nil
	}
	own, err := c.listSecrets()
	if err != nil {
		return nil, err
	}
	c.setUnlisted(own, published)
	if !leader {
		shared, err := c.sharedSecrets(published)
		if err != nil {
			return nil, err
		}
		own = append(slices.DeleteFunc(own, func(s ownSecret) bool { return s.Owner == juju.OwnedByApplication }), shared...)
	}
	if err := c.readContents(own); err != nil {
		return nil, err
	}
	var found []juju.Secret
	for _, secret := range own {
		found = append(found, secret.Secret)
	}
	slices.SortFunc(found, func(a, b juju.Secret) int { return strings.Compare(a.Label, b.Label) })
	return found, nil
}

// listSecrets lists what the controller counts as the caller's: the unit's secrets, and the application's for a leader.
func (c *client) listSecrets() ([]ownSecret, error) {
	listed, err := c.secrets.SecretMetadata()
	if err != nil {
		return nil, fmt.Errorf("cannot list the secrets: %w", err)
	}
	var own []ownSecret
	for _, metadata := range listed {
		if metadata.Label == "" {
			continue
		}
		owner := juju.OwnedByUnit
		if metadata.OwnerTag == c.app.String() {
			owner = juju.OwnedByApplication
		}
		own = append(own, ownSecret{
			Secret: juju.Secret{URI: uriOf(metadata.URI.ID), Label: metadata.Label, Owner: owner},
			id:     metadata.URI.ID, latest: metadata.LatestRevision, checksum: metadata.LatestRevisionChecksum,
		})
	}
	return own, nil
}

// setUnlisted remembers which of the application's secrets the other units cannot find yet, as after a commit that was
// cut off between the secrets and the databags. The leader's next commit mends it.
func (l *link) setUnlisted(own []ownSecret, published map[string]string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unlisted = juju.Bag{}
	for _, secret := range own {
		if secret.Owner == juju.OwnedByApplication && published[secret.Label] != secret.URI {
			l.unlisted[secretKeyPrefix+secret.Label] = secret.URI
		}
	}
}

// sharedSecrets are the application's secrets as the peer databag tells of them.
func (c *client) sharedSecrets(published map[string]string) ([]ownSecret, error) {
	var shared []ownSecret
	var uris []string
	for _, label := range slices.Sorted(maps.Keys(published)) {
		uri, err := secrets.ParseURI(published[label])
		if err != nil {
			c.log.Warn("a secret's URI in the peer databag cannot be read", "label", label)
			continue
		}
		shared = append(shared, ownSecret{
			Secret: juju.Secret{URI: uriOf(uri.ID), Label: label, Owner: juju.OwnedByApplication}, id: uri.ID,
		})
		uris = append(uris, uriOf(uri.ID))
	}
	if len(shared) == 0 {
		return nil, nil
	}
	revisions, err := c.latestRevisions(uris)
	if err != nil {
		return nil, fmt.Errorf("cannot read the revisions of the application's secrets: %w", err)
	}
	for i := range shared {
		shared[i].latest = revisions[i]
	}
	return shared, nil
}

// latestRevisions are the latest revisions of secrets that the unit has read before; 0 where it has not, or may not know,
// of which reading them tells more. The library's own method fails as a whole on Juju 4 for one that was never read.
func (c *client) latestRevisions(uris []string) ([]int, error) {
	args := params.GetSecretConsumerInfoArgs{ConsumerTag: c.unit.String(), URIs: uris}
	var results params.SecretConsumerInfoResults
	if err := c.call("SecretsManager", "GetConsumerSecretsRevisionInfo", args, &results); err != nil {
		return nil, err
	}
	if err := expect(len(uris), len(results.Results), "revisions"); err != nil {
		return nil, err
	}
	latest := make([]int, len(uris))
	for i, result := range results.Results {
		if result.Error == nil {
			latest[i] = result.Revision
		}
	}
	return latest, nil
}

// readContents reads the newest content of all secrets in one call. Reading makes the unit a consumer of the secret,
// whom the controller tells of new revisions. It is a write there when it also says which revision the unit now uses
// (refresh), without which old revisions never become obsolete; so that is done once for each revision.
func (c *client) readContents(own []ownSecret) error {
	if len(own) == 0 {
		return nil
	}
	var args params.GetSecretContentArgs
	for _, secret := range own {
		refresh := secret.latest == 0 || c.revision(secret.id) != secret.latest
		args.Args = append(args.Args, params.GetSecretContentArg{URI: secret.URI, Refresh: refresh, Peek: !refresh})
	}
	var results params.SecretContentResults
	if err := c.call("SecretsManager", "GetSecretContentInfo", args, &results); err != nil {
		return fmt.Errorf("cannot read the secrets: %w", err)
	}
	if err := expect(len(own), len(results.Results), "secrets"); err != nil {
		return err
	}
	for i := range own {
		content, err := contentFrom(results.Results[i])
		switch {
		case gone(err): // removed, or no longer for this unit: known, but not readable
			continue
		case err != nil:
			return fmt.Errorf("cannot read the secret labelled %q: %w", own[i].Label, err)
		}
		own[i].Content = content
		c.track(own[i].id, own[i].latest)
	}
	return nil
}

// contentFrom decodes a secret's content. A secret kept outside Juju is refused by the back end's name: to read it takes
// that back end's own client.
func contentFrom(result params.SecretContentResult) (map[string]string, error) {
	if err := resultError(result.Error); err != nil {
		return nil, err
	}
	if ref := result.Content.ValueRef; ref != nil {
		kind := "external"
		if result.BackendConfig != nil {
			kind = result.BackendConfig.Config.BackendType
		}
		return nil, externalBackend(kind, ref.BackendID)
	}
	content, err := secrets.NewSecretValue(result.Content.Data).Values()
	if err != nil {
		return nil, fmt.Errorf("its content is not base64") // the cause would quote it
	}
	return content, nil
}

func externalBackend(kind, id string) error {
	return fmt.Errorf("it is kept in the %s secret back end %q, which this charm cannot use; "+
		"run juju model-secret-backend internal", kind, id)
}

// revision is the revision that this connection last told the controller the unit uses; 0 for none.
func (l *link) revision(id string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tracked[id]
}

func (l *link) track(id string, revision int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tracked[id] = revision
}

// uriOf is a secret's URI in the model it belongs to.
func uriOf(id string) string { return secrets.SecretScheme + ":" + id }

// secretKey is what secret-add demands of a content's keys; the controller itself accepts any.
var secretKey = regexp.MustCompile(`^[a-z](?:-?[a-z0-9]){2,}$`)

// secretLimit is the size in bytes that secret-add allows a content.
const secretLimit = 1000 * 1000

// secretArgs makes the arguments that create or update one secret. The checksum is the one that Juju's own agents send:
// whoever updates the secret next sees by it what would change nothing.
func secretArgs(secret juju.Secret) (params.UpsertSecretArg, error) {
	if secret.Label == "" {
		return params.UpsertSecretArg{}, fmt.Errorf("cannot commit a secret without a label")
	}
	if len(secret.Content) == 0 {
		return params.UpsertSecretArg{}, fmt.Errorf("cannot commit the secret labelled %q: it has no content", secret.Label)
	}
	encoded, size := map[string]string{}, 0
	for key, value := range secret.Content {
		if !secretKey.MatchString(key) {
			return params.UpsertSecretArg{}, fmt.Errorf("cannot commit the secret labelled %q: "+
				"key %q must have at least 3 characters of a-z, 0-9 and single hyphens, and begin with a letter", secret.Label, key)
		}
		encoded[key] = base64.StdEncoding.EncodeToString([]byte(value))
		size += len(value)
	}
	if size > secretLimit {
		return params.UpsertSecretArg{}, fmt.Errorf("cannot commit the secret labelled %q: %d bytes are more than %d", secret.Label, size, secretLimit)
	}
	checksum, err := secrets.NewSecretValue(encoded).Checksum()
	if err != nil {
		return params.UpsertSecretArg{}, fmt.Errorf("cannot commit the secret labelled %q: its checksum cannot be computed", secret.Label)
	}
	label := secret.Label
	return params.UpsertSecretArg{Label: &label, Content: params.SecretContentParams{Data: encoded, Checksum: checksum}}, nil
}

// ownerTag is the owner of a secret as the controller names it.
func (l *link) ownerTag(secret juju.Secret) names.Tag {
	if secret.Owner == juju.OwnedByUnit {
		return l.unit
	}
	return l.app
}
