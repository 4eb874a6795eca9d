package plan

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/manifest"
)

// image asks for the rebuild of a container's image and points the manifest at
// it.
func (m *maker) image(d *draft, c fleet.Container, r fleet.Rebuild) {
	if !c.Image.Set() && c.Split == nil || r.From == "" {
		d.block(fleet.CodeImageUnknown, c.Place, fmt.Sprintf("the image of container %s is not decided in the manifests", c.Name))
		return
	}
	ref, err := fleet.ParseImageRef(r.From)
	if err != nil {
		d.block(fleet.CodeImageUnknown, c.Image.Place, err.Error())
		return
	}
	if live, known := m.in.Live[d.w.ID][c.Name]; known && !sameImage(live, r.From) {
		d.block(fleet.CodeImageDrift, c.Image.Place, fmt.Sprintf("the cluster runs %s, the manifest says %s: which of the two is meant is for a person to decide", live, r.From))
		return
	}
	if len(r.Env) == 0 {
		r.Env = nil
	}
	if failed := m.in.Failed[r.Key()]; failed != nil {
		code, message := imageFailure(failed)
		d.block(code, c.Image.Place, message)
		return
	}
	to := m.tag.RebuiltRef(ref, fleet.Pending)
	if built, known := m.in.Images[r.Key()]; known {
		if to, err = fleet.ParseImageRef(built.To); err != nil {
			d.block(fleet.CodeImageUnknown, c.Image.Place, err.Error())
			return
		}
		if to.Digest == "" {
			to.Digest = built.Digest
		}
		for _, w := range built.Warnings {
			d.warn(w.Code, c.Image.Place, w.Message)
		}
	}
	if m.spec.Image.Pin == "tag" {
		to.Digest = ""
	}
	d.base += r.From + "\x00" + to.String() + "\x00"
	d.plan.Rebuilds = append(d.plan.Rebuilds, r)
	d.of(c.Name).Image = &fleet.ImageChange{From: c.Image.Text, To: to.String()}
	shape := to // what is written in the end, where only "build" knows the digest
	if shape.Digest == "" && m.spec.Image.Pin != "tag" {
		shape.Digest = "sha256:" + strings.Repeat("0", sha256.Size*2)
	}
	d.setImage(c, to, shape)
}

// imageFailure puts a failed rebuild into a reason.
func imageFailure(err error) (fleet.Code, string) {
	var refused *fleet.RefusedError
	switch {
	case errors.As(err, &refused):
		return refused.Reason.Code, refused.Reason.Message
	case errors.Is(err, fleet.ErrNotFound):
		return fleet.CodeImageMissing, err.Error()
	}
	return fleet.CodeImageFailed, err.Error()
}

// sameImage compares references by what they name: docker.io and latest are
// implied. One with a digest is compared by it where both have one.
func sameImage(a, b string) bool {
	if a == b {
		return true
	}
	x, err := fleet.ParseImageRef(a)
	if err != nil {
		return false
	}
	y, err := fleet.ParseImageRef(b)
	if err != nil {
		return false
	}
	if x.Digest != "" && y.Digest != "" {
		return x.Digest == y.Digest
	}
	if x.Digest != y.Digest {
		return false
	}
	p, err := name.ParseReference(a, name.WeakValidation)
	if err != nil {
		return false
	}
	q, err := name.ParseReference(b, name.WeakValidation)
	return err == nil && p.Name() == q.Name()
}

// setImage changes the image where it is decided, where what has the reference's
// shape fits.
func (d *draft) setImage(c fleet.Container, to, shape fleet.ImageRef) {
	if c.Split == nil {
		if c.Image.Text != to.String() {
			d.change(fleet.OpReplace, c.Image, to.String())
		}
		return
	}
	s := *c.Split
	if s.Argument.Set() {
		change := d.w.Change(fleet.OpReplace, s.Argument, s.Argue(to.String()))
		if at := s.Argument.At; at != nil && at.Outer != (fleet.Outer{}) {
			if _, ok := at.Outer.Inner(s.Argue(shape.String())); !ok {
				d.block(fleet.CodeUnsupportedForm, change.Place, fmt.Sprintf("a part of the images entry %s stands here, and the new reference does not fit round it: "+
					"write the entry as name=name:tag, or set image.pin: tag", s.Argument.Text))
				return
			}
		}
		if change.New != change.Old {
			d.plan.Changes = append(d.plan.Changes, change)
			d.share(change, s.Argument)
		}
		d.effect(fleet.Effect{Field: c.Field + ".image", Old: c.Image.Text, New: to.String()})
		return
	}
	tag, digest := to.Tag, to.Digest
	if digest != "" && !s.Digest.Set() && s.TagMayCarryDigest {
		tag, digest = tag+"@"+digest, ""
	}
	d.setPart(s, s.Tag, s.TagKey, tag)
	switch {
	case digest != "":
		d.setPart(s, s.Digest, s.DigestKey, digest)
	case s.Digest.Set() && s.Digest.Text != "":
		// A digest would win over the new tag.
		d.remove(s.Digest)
	}
	d.effect(fleet.Effect{Field: c.Field + ".image", Old: c.Image.Text, New: to.String()})
}

// exchangeImage makes a container use an image of another name, where the
// reference is decided in parts.
func (d *draft) exchangeImage(c fleet.Container, to string) {
	s := c.Split
	if !s.Argument.Set() && !s.Base.Set() && (!s.Name.Set() || !s.Tag.Set() && !s.Digest.Set()) {
		d.block(fleet.CodeImageUnknown, c.Image.Place, fmt.Sprintf("there is no place for the name and tag of the new image of container %s", c.Name))
		return
	}
	for _, change := range manifest.SetImage(d.w, c, to) {
		d.plan.Changes = append(d.plan.Changes, change)
		for _, v := range []fleet.Value{s.Argument, s.Base, s.Registry, s.Name, s.Tag, s.Digest} {
			if v.At != nil && v.At.File == change.File && v.At.Document == change.Document && v.At.Item == change.Item && strings.HasPrefix(change.Field, v.At.Field) {
				d.share(change, v)
			}
		}
	}
	d.effect(fleet.Effect{Field: c.Field + ".image", Old: c.Image.Text, New: to})
}

// setPart changes or adds one part of an image that is decided in parts.
func (d *draft) setPart(s fleet.SplitImage, part fleet.Value, key, to string) {
	if part.Set() {
		if part.Text != to {
			c := d.w.Change(fleet.OpReplace, part, to)
			d.plan.Changes = append(d.plan.Changes, c)
			d.share(c, part)
		}
		return
	}
	if key == "" || !s.Base.Set() {
		d.block(fleet.CodeImageUnknown, s.Base.Place, "there is no place for the new image's tag or digest")
		return
	}
	c := d.w.Change(fleet.OpAdd, s.Base, quote(to))
	c.Field, c.Old = c.Field+"."+key, ""
	d.plan.Changes = append(d.plan.Changes, c)
	d.share(c, s.Base)
}

// share notes that the change touches a value which several workloads use.
func (d *draft) share(c fleet.Change, v fleet.Value) {
	if v.At != nil && len(v.At.Users) > 1 {
		d.places[place{c.File, c.Document, c.Item, c.Field}] = v.At.Users
	}
}
