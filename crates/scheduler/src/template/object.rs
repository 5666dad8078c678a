//! What a template sees of a thing of ours: attributes, methods, an order and a text, of which each has what it needs.

use std::{cmp::Ordering, fmt};

use minijinja::{Error, ErrorKind, Value};

pub(super) trait Thing: fmt::Debug + Send + Sync + Sized + 'static {
    fn attribute(&self, _name: &str) -> Option<Value> {
        None
    }

    fn method(&self, _name: &str, _args: &[Value]) -> Result<Value, Error> {
        Err(Error::from(ErrorKind::UnknownMethod))
    }

    /// As a function.
    fn called(&self, _args: &[Value]) -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, "object is not callable"))
    }

    fn order(&self, _other: &Self) -> Option<Ordering> {
        None
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// Makes each of these things an object of minijinja.
macro_rules! objects {
    ($($name:ident),*) => { $(
        impl minijinja::value::Object for $name {
            fn repr(self: &std::sync::Arc<Self>) -> minijinja::value::ObjectRepr {
                minijinja::value::ObjectRepr::Plain
            }

            fn get_value(self: &std::sync::Arc<Self>, key: &minijinja::Value) -> Option<minijinja::Value> {
                self.attribute(key.as_str()?)
            }

            fn call_method(
                self: &std::sync::Arc<Self>,
                _: &mut minijinja::State<'_, '_>,
                method: &str,
                args: &[minijinja::Value],
            ) -> Result<minijinja::Value, minijinja::Error> {
                self.method(method, args)
            }

            fn call(
                self: &std::sync::Arc<Self>,
                _: &mut minijinja::State<'_, '_>,
                args: &[minijinja::Value],
            ) -> Result<minijinja::Value, minijinja::Error> {
                self.called(args)
            }

            fn custom_cmp(
                self: &std::sync::Arc<Self>,
                other: &minijinja::value::DynObject,
            ) -> Option<std::cmp::Ordering> {
                other.downcast_ref::<Self>().and_then(|other| self.order(other))
            }

            fn render(self: &std::sync::Arc<Self>, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.show(f)
            }
        }
    )* };
}

pub(super) use objects;
