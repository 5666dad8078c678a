//! minijinja as Airflow's Jinja: undefined names are errors, values print as Python prints them, Airflow's filters, and the
//! calls that arithmetic has become.

use std::{
    fs,
    path::{Component, Path, PathBuf},
};

use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, State, UndefinedBehavior, Value,
    value::{Rest, Tuple, ValueKind, from_args},
};

use super::{
    python, rewrite,
    values::{Day, Delta, Moment},
};

/// A template file: what a person writes is far smaller.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// An environment whose `{% include %}` and template files lie in `folders`.
pub(super) fn environment(folders: Vec<PathBuf>) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_formatter(|out, _, value| out.write_str(&python::text(value)).map_err(Error::from));
    environment.set_unknown_method_callback(method);
    environment.set_loader(move |name| file(&folders, name));
    environment.add_function(rewrite::PLUS, |a: Value, b: Value| plus(&a, &b));
    environment.add_function(rewrite::MINUS, |a: Value, b: Value| minus(&a, &b));
    environment.add_function(rewrite::CONCAT, |parts: Rest<Value>| {
        parts.iter().map(python::text).collect::<String>()
    });
    environment.add_function(rewrite::PERCENT, percent);
    environment.add_filter("ds", |value: Value| dated(&value, "%Y-%m-%d"));
    environment.add_filter("ds_nodash", |value: Value| dated(&value, "%Y%m%d"));
    environment.add_filter("ts", |value: Value| timed(&value, str::to_owned));
    environment.add_filter("ts_nodash", |value: Value| dated(&value, "%Y%m%dT%H%M%S"));
    environment
        .add_filter("ts_nodash_with_tz", |value: Value| timed(&value, |text| text.replace(['-', ':'], "")));
    environment.add_filter("string", |value: Value| python::text(&value));
    environment.add_filter("join", join);
    environment.add_filter("tojson", |value: Value| {
        let mut text = String::new();
        python::json(&value, true, &mut text);
        text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026").replace('\'', "\\u0027")
    });
    environment
}

fn file(folders: &[PathBuf], name: &str) -> Result<Option<String>, Error> {
    let inside =
        Path::new(name).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if !inside {
        return Ok(None);
    }
    for folder in folders {
        let path = folder.join(name);
        let Ok(metadata) = fs::metadata(&path) else { continue };
        if metadata.len() > FILE_BYTES_MAX {
            let text = format!("{} is longer than {FILE_BYTES_MAX} bytes", path.display());
            return Err(Error::new(ErrorKind::InvalidOperation, text));
        }
        let text = fs::read_to_string(&path);
        let text = text.map_err(|error| {
            Error::new(ErrorKind::InvalidOperation, format!("cannot read {}", path.display()))
                .with_source(error)
        })?;
        return Ok(Some(rewrite::template(&text).into_owned()));
    }
    Ok(None)
}

fn unsupported(operator: &str, a: &Value, b: &Value) -> Error {
    let text = format!("{operator} does not take {} and {}", a.kind(), b.kind());
    Error::new(ErrorKind::InvalidOperation, text)
}

fn undefined(values: [&Value; 2]) -> Result<(), Error> {
    match values.iter().any(|value| value.is_undefined()) {
        true => Err(Error::from(ErrorKind::UndefinedError)),
        false => Ok(()),
    }
}

/// `a + b` as Python has it.
fn plus(a: &Value, b: &Value) -> Result<Value, Error> {
    undefined([a, b])?;
    if let Some(delta) = b.downcast_object_ref::<Delta>() {
        return shifted(a, delta, 1).unwrap_or_else(|| Err(unsupported("+", a, b)));
    }
    if let Some(delta) = a.downcast_object_ref::<Delta>() {
        return shifted(b, delta, 1).unwrap_or_else(|| Err(unsupported("+", a, b)));
    }
    match (a.kind(), b.kind()) {
        (ValueKind::String, ValueKind::String) => {
            Ok(Value::from(format!("{}{}", python::text(a), python::text(b))))
        }
        (ValueKind::Seq | ValueKind::Iterable, ValueKind::Seq | ValueKind::Iterable) => {
            Ok(Value::from(a.try_iter()?.chain(b.try_iter()?).collect::<Vec<_>>()))
        }
        (_, _) => number(a, b, i128::checked_add, |a, b| a + b).ok_or_else(|| unsupported("+", a, b)),
    }
}

/// `a - b` as Python has it: a time less a time is a duration.
fn minus(a: &Value, b: &Value) -> Result<Value, Error> {
    undefined([a, b])?;
    if let Some(delta) = b.downcast_object_ref::<Delta>() {
        return shifted(a, delta, -1).unwrap_or_else(|| Err(unsupported("-", a, b)));
    }
    if let (Some(a), Some(b)) = (a.downcast_object_ref::<Moment>(), b.downcast_object_ref::<Moment>()) {
        return Ok(Value::from_object(Delta { months: 0, duration: a.at - b.at }));
    }
    if let (Some(a), Some(b)) = (a.downcast_object_ref::<Day>(), b.downcast_object_ref::<Day>()) {
        return Ok(Value::from_object(Delta { months: 0, duration: a.0 - b.0 }));
    }
    number(a, b, i128::checked_sub, |a, b| a - b).ok_or_else(|| unsupported("-", a, b))
}

/// A time, a date or a duration moved by a duration; none for anything else.
fn shifted(value: &Value, delta: &Delta, sign: i32) -> Option<Result<Value, Error>> {
    if let Some(moment) = value.downcast_object_ref::<Moment>() {
        return Some(moment.plus(delta, sign).map(Value::from_object));
    }
    if let Some(day) = value.downcast_object_ref::<Day>() {
        let moment = Moment::utc(day.0.and_time(chrono::NaiveTime::MIN).and_utc());
        return Some(moment.plus(delta, sign).map(|moment| Value::from_object(Day(moment.local().date()))));
    }
    let other = value.downcast_object_ref::<Delta>()?;
    let duration = other.duration.checked_add(&(delta.duration * sign))?;
    Some(Ok(Value::from_object(Delta { months: other.months.saturating_add(sign * delta.months), duration })))
}

fn number(
    a: &Value,
    b: &Value,
    whole: impl Fn(i128, i128) -> Option<i128>,
    float: impl Fn(f64, f64) -> f64,
) -> Option<Value> {
    let is_number = |value: &Value| matches!(value.kind(), ValueKind::Number | ValueKind::Bool);
    if !is_number(a) || !is_number(b) {
        return None;
    }
    if let (Ok(a), Ok(b)) = (i128::try_from(a.clone()), i128::try_from(b.clone()))
        && let Some(result) = whole(a, b)
    {
        return Some(i64::try_from(result).map_or_else(|_| Value::from(result), Value::from));
    }
    let size = |value: &Value| f64::try_from(value.clone()).ok();
    Some(Value::from(float(size(a)?, size(b)?)))
}

fn percent(state: &mut State<'_, '_>, form: Value, values: Value) -> Result<Value, Error> {
    let mut args = vec![form];
    match values.is_tuple() {
        true => args.extend(values.try_iter()?),
        false => args.push(values),
    }
    state.apply_filter("format", &args)
}

/// A date or a time by a form; None stays None.
fn dated(value: &Value, form: &str) -> Result<Value, Error> {
    if value.is_none() {
        return Ok(value.clone());
    }
    if let Some(moment) = value.downcast_object_ref::<Moment>() {
        return Ok(super::format::strftime(moment, form).into());
    }
    if let Some(day) = value.downcast_object_ref::<Day>() {
        let moment = Moment::utc(day.0.and_time(chrono::NaiveTime::MIN).and_utc());
        return Ok(super::format::strftime(&moment, form).into());
    }
    Err(Error::new(
        ErrorKind::InvalidOperation,
        format!("a date filter takes a date, not a {}", value.kind()),
    ))
}

fn timed(value: &Value, change: impl Fn(&str) -> String) -> Result<Value, Error> {
    if value.is_none() {
        return Ok(value.clone());
    }
    if let Some(moment) = value.downcast_object_ref::<Moment>() {
        return Ok(change(&moment.iso('T')).into());
    }
    if let Some(day) = value.downcast_object_ref::<Day>() {
        return Ok(change(&day.0.to_string()).into());
    }
    Err(Error::new(
        ErrorKind::InvalidOperation,
        format!("a date filter takes a date, not a {}", value.kind()),
    ))
}

fn join(value: Value, separator: Option<String>, attribute: Option<String>) -> Result<String, Error> {
    let mut texts = Vec::new();
    for item in value.try_iter()? {
        let item = match &attribute {
            Some(attribute) => item.get_attr(attribute)?,
            None => item,
        };
        texts.push(python::text(&item));
    }
    Ok(texts.join(&separator.unwrap_or_default()))
}

fn tuple(texts: [&str; 3]) -> Value {
    Value::from(Tuple::from(texts.map(Value::from).to_vec()))
}

fn listed<'a>(texts: impl IntoIterator<Item = &'a str>) -> Value {
    Value::from(texts.into_iter().map(Value::from).collect::<Vec<_>>())
}

/// Python's methods of texts, lists and dicts: minijinja's own collection of them, and what it has not.
fn method(state: &mut State<'_, '_>, value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    let Some(text) = value.as_str() else {
        return minijinja_contrib::pycompat::unknown_method_callback(state, value, method, args);
    };
    let padded = |args: &[Value]| -> Result<(usize, char), Error> {
        let (width, fill): (usize, Option<char>) = from_args(args)?;
        if width > 10_000 {
            return Err(Error::new(ErrorKind::InvalidOperation, "too wide"));
        }
        Ok((width.saturating_sub(text.chars().count()), fill.unwrap_or(' ')))
    };
    let repeated = |fill: char, count: usize| fill.to_string().repeat(count);
    match method {
        "zfill" => {
            let (missing, _) = padded(args)?;
            let (sign, digits) = match text.strip_prefix(['-', '+']) {
                Some(digits) => text.split_at(text.len() - digits.len()),
                None => ("", text),
            };
            Ok(format!("{sign}{}{digits}", repeated('0', missing)).into())
        }
        "ljust" => padded(args).map(|(missing, fill)| format!("{text}{}", repeated(fill, missing)).into()),
        "rjust" => padded(args).map(|(missing, fill)| format!("{}{text}", repeated(fill, missing)).into()),
        "removeprefix" => {
            let (prefix,): (&str,) = from_args(args)?;
            Ok(text.strip_prefix(prefix).unwrap_or(text).into())
        }
        "removesuffix" => {
            let (suffix,): (&str,) = from_args(args)?;
            Ok(text.strip_suffix(suffix).unwrap_or(text).into())
        }
        "partition" | "rpartition" => {
            let (separator,): (&str,) = from_args(args)?;
            let found =
                if method == "partition" { text.split_once(separator) } else { text.rsplit_once(separator) };
            Ok(match found {
                Some((before, after)) => tuple([before, separator, after]),
                None if method == "partition" => tuple([text, "", ""]),
                None => tuple(["", "", text]),
            })
        }
        "rsplit" => {
            let (separator, count): (&str, Option<usize>) = from_args(args)?;
            let mut parts: Vec<&str> = match count {
                Some(count) => text.rsplitn(count + 1, separator).collect(),
                None => text.rsplit(separator).collect(),
            };
            parts.reverse();
            Ok(listed(parts))
        }
        "swapcase" => {
            Ok(text
                .chars()
                .map(|c| {
                    if c.is_uppercase() { c.to_lowercase().to_string() } else { c.to_uppercase().to_string() }
                })
                .collect::<String>()
                .into())
        }
        _ => minijinja_contrib::pycompat::unknown_method_callback(state, value, method, args),
    }
}
