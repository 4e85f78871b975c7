//! What an authorization service says of a request, whichever way it was asked, and how that changes heads.

use serde_json::Value;

use crate::ascii;
use crate::head::Head;
use crate::request_parts::{query_of, without_query};

/// How a field is set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum How {
    /// One more line.
    #[default]
    Add,
    /// Only where there is none.
    AddIfAbsent,
    /// In place of those there are.
    Set,
    /// The same, and only where there are.
    SetIfThere,
    /// Behind what is there, in one line; nothing where nothing is there.
    Join,
}

/// One change of a head.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mutation {
    /// Name, in lower case.
    pub name: Vec<u8>,
    /// Value.
    pub value: Vec<u8>,
    /// How.
    pub how: How,
}

/// What becomes of a request that may go on.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Granted {
    /// Changes of its head.
    pub request: Vec<Mutation>,
    /// Fields that are taken out of it.
    pub remove: Vec<Vec<u8>>,
    /// Changes of its answer's head.
    pub response: Vec<Mutation>,
    /// Parameters of its query that are set.
    pub set_query: Vec<(Vec<u8>, Vec<u8>)>,
    /// Parameters that are taken out.
    pub remove_query: Vec<Vec<u8>>,
    /// What later steps may look at.
    pub noted: Option<Value>,
}

/// What a request is answered that may not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refused {
    /// Status, if one was said.
    pub status: Option<u16>,
    /// Fields.
    pub fields: Vec<Mutation>,
    /// Body.
    pub body: Vec<u8>,
}

/// What a service says.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    /// It may go on.
    Through(Box<Granted>),
    /// It may not.
    Refused(Refused),
    /// Nothing that could be relied on; perhaps what the caller is to be told then.
    Failed(Option<Refused>),
}

/// What becomes of a request of which nothing was learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silence {
    /// It goes on.
    pub fail_open: bool,
    /// It then bears a header that says so.
    pub marks: bool,
    /// What it is answered otherwise.
    pub status: u16,
}

impl Silence {
    /// Return what is wrong with the status.
    pub fn check(self) -> Result<(), String> {
        if (200..600).contains(&self.status) {
            Ok(())
        } else {
            Err(format!("{} is not the status of a final response", self.status))
        }
    }
}

impl Mutation {
    /// Return a change of a field.
    pub fn new(name: &[u8], value: &[u8], how: How) -> Self {
        Self { name: name.to_vec(), value: value.to_vec(), how }
    }

    /// Return whether it can be carried out without making another message of the head.
    pub fn is_sound(&self) -> bool {
        match self.name.as_slice() {
            b":path" => ascii::is_target(&self.value),
            b":authority" | b"host" => ascii::is_authority(&self.value),
            b":method" => ascii::is_token(&self.value),
            name => ascii::is_lower_token(name) && ascii::is_field_value(&self.value),
        }
    }

    /// Change `head`. What says how a message is framed is left as it is: that is for each hop to say.
    pub fn apply(&self, head: &mut Head) {
        match self.name.as_slice() {
            b":path" => return head.set_path(&self.value),
            b":authority" | b"host" => return head.set_authority(&self.value),
            b":method" => return head.set_method(&self.value),
            name if is_framing(name) => return,
            _ => {}
        }
        let there = head.find(&self.name).is_some();
        match self.how {
            How::Add => head.append(&self.name, &self.value),
            How::AddIfAbsent if !there => head.append(&self.name, &self.value),
            How::Set => head.set(&self.name, &self.value),
            How::SetIfThere if there => head.set(&self.name, &self.value),
            How::Join if there => {
                let lines = head.fields().filter(|(name, _)| *name == self.name).map(|(_, value)| value);
                let joined = lines.chain([self.value.as_slice()]).collect::<Vec<_>>().join(&b","[..]);
                head.set(&self.name, &joined);
            }
            How::AddIfAbsent | How::SetIfThere | How::Join => {}
        }
    }
}

impl Granted {
    /// Return whether all of it can be carried out.
    pub fn is_sound(&self) -> bool {
        let query = self.set_query.iter().flat_map(|(key, value)| [key, value]).chain(&self.remove_query);
        let plain = |part: &Vec<u8>| part.iter().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'#'));
        self.request.iter().chain(&self.response).all(Mutation::is_sound) && query.into_iter().all(plain)
    }

    /// Change the head of the request.
    pub fn apply(&self, head: &mut Head) {
        for mutation in &self.request {
            mutation.apply(head);
        }
        for name in self.remove.iter().filter(|name| !name.starts_with(b":") && *name != b"host") {
            head.remove(name);
        }
        if !self.set_query.is_empty() || !self.remove_query.is_empty() {
            let path = self.queried(head.path());
            head.set_path(&path);
        }
    }

    /// Return a path with the parameters that were asked for.
    fn queried(&self, path: &[u8]) -> Vec<u8> {
        let key_of = |part: &[u8]| part.split(|byte| *byte == b'=').next().unwrap_or_default().to_vec();
        let mut parts: Vec<Vec<u8>> =
            query_of(path).split(|byte| *byte == b'&').filter(|part| !part.is_empty()).map(<[u8]>::to_vec).collect();
        for (key, value) in &self.set_query {
            let set = [key.as_slice(), b"=", value].concat();
            match parts.iter().position(|part| key_of(part) == *key) {
                Some(at) => {
                    let later = parts.split_off(at + 1);
                    parts.pop();
                    parts.push(set);
                    parts.extend(later.into_iter().filter(|part| key_of(part) != *key));
                }
                None => parts.push(set),
            }
        }
        parts.retain(|part| !self.remove_query.contains(&key_of(part)));
        let mut made = without_query(path).to_vec();
        if !parts.is_empty() {
            made.push(b'?');
            made.extend_from_slice(&parts.join(&b"&"[..]));
        }
        made
    }
}

/// Return whether a field says how its message is framed, or is for one hop alone.
pub fn is_framing(name: &[u8]) -> bool {
    matches!(
        name,
        b"content-length"
            | b"transfer-encoding"
            | b"connection"
            | b"keep-alive"
            | b"upgrade"
            | b"te"
            | b"trailer"
            | b"host"
    ) || name.starts_with(b":")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head {
        let mut head = Head::default();
        head.set_path(b"/a?x=1&y=2&x=3");
        head.set_authority(b"h");
        head.push(b"one", b"1");
        head.push(b"two", b"1");
        head.push(b"two", b"2");
        head
    }

    fn after(how: How, name: &[u8]) -> Vec<Vec<u8>> {
        let mut head = head();
        Mutation::new(name, b"new", how).apply(&mut head);
        head.fields().filter(|(field, _)| *field == name).map(|(_, value)| value.to_vec()).collect()
    }

    #[test]
    fn a_field_is_changed_in_the_way_that_was_asked_for() {
        let none: Vec<Vec<u8>> = Vec::new();
        assert_eq!((after(How::Add, b"one").len(), after(How::Add, b"nil")), (2, vec![b"new".to_vec()]));
        assert_eq!((after(How::AddIfAbsent, b"one").len(), after(How::AddIfAbsent, b"nil").len()), (1, 1));
        assert_eq!((after(How::Set, b"two").len(), after(How::Set, b"nil").len()), (1, 1));
        assert_eq!(
            (after(How::SetIfThere, b"two"), after(How::SetIfThere, b"nil")),
            (vec![b"new".to_vec()], none.clone())
        );
        assert_eq!((after(How::Join, b"two"), after(How::Join, b"nil")), (vec![b"1,2,new".to_vec()], none));
    }

    #[test]
    fn framing_is_not_for_others_to_change() {
        let mut head = head();
        for name in ["content-length", "transfer-encoding", "connection"] {
            Mutation::new(name.as_bytes(), b"7", How::Set).apply(&mut head);
        }
        let all = Granted { remove: vec![b"host".to_vec(), b":path".to_vec(), b"one".to_vec()], ..Granted::default() };
        all.apply(&mut head);
        assert_eq!((head.len(), head.authority()), (2, &b"h"[..]));
    }

    #[test]
    fn what_would_make_two_messages_of_one_is_not_sound() {
        let sound = |name: &[u8], value: &[u8]| Mutation::new(name, value, How::Set).is_sound();
        assert!(sound(b"x-a", b"b c") && sound(b":path", b"/b?c") && sound(b"host", b"h:1"));
        assert!(!sound(b"x-a", b"b\r\nc: d") && !sound(b"x a", b"b") && !sound(b"", b"b"));
        assert!(!sound(b":path", b"/ HTTP/1.1") && !sound(b":authority", b"a b") && !sound(b":status", b"200"));
    }

    #[test]
    fn parameters_are_set_in_their_place_and_taken_out() {
        let set = |set: &[(&[u8], &[u8])], remove: &[&[u8]]| {
            let mut head = head();
            let pairs = set.iter().map(|(key, value)| (key.to_vec(), value.to_vec())).collect();
            let remove = remove.iter().map(|key| key.to_vec()).collect();
            Granted { set_query: pairs, remove_query: remove, ..Granted::default() }.apply(&mut head);
            String::from_utf8(head.path().to_vec()).unwrap()
        };
        assert_eq!(set(&[(b"x", b"9"), (b"z", b"0")], &[]), "/a?x=9&y=2&z=0");
        assert_eq!(set(&[], &[b"x"]), "/a?y=2");
        assert_eq!(set(&[], &[b"x", b"y"]), "/a");
    }
}
