//! Records that were refused, in the place of a stream's source: what they look like is told by themselves, as their files may be gone.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use base::Source;
use connectors::{
    files::{FileSource, Format},
    mapping::Mapping,
    received::Columns,
    record::{self, Shape},
};

use crate::{Error, PipelineFile, file::StreamSpec, rows::ParseRows, source::Opened};

/// The refused records of a stream.
#[derive(Clone)]
pub struct Letters {
    pub source: Arc<dyn Source>,
    /// The files that they came from, and what the columns of their records are, where they say it.
    pub places: BTreeMap<Arc<str>, Option<Columns>>,
}

impl PipelineFile {
    /// Records of files.
    pub(crate) fn open_letters(&self, stream: &StreamSpec, letters: &Letters) -> Result<Opened, Error> {
        let (mut shapes, mut columns) = (Vec::new(), BTreeMap::new());
        for (path, told) in &letters.places {
            let shape = match told {
                Some(told) => {
                    columns.insert(path.clone(), told.clone());
                    let shape = told.shape(&Mapping::default(), path, true);
                    shape.map_err(|error| Error::Source {
                        stream: stream.name.clone(),
                        source: error.into(),
                    })?
                }
                None => self.shape_of_file(stream, path)?,
            };
            shapes.push((path.clone(), shape));
        }
        Ok(Opened {
            source: letters.source.clone(),
            stages: vec![Arc::new(ParseRows::new(shapes))],
            table_form: connectors::plain_form,
            first_form: "text",
            columns,
            topic: None,
        })
    }

    /// As the file has it, where it is one of CSV; what was refused of others needs no file.
    fn shape_of_file(&self, stream: &StreamSpec, path: &Arc<str>) -> Result<Shape, Error> {
        let failed = |source| Error::Source { stream: stream.name.clone(), source };
        let config = self.config_of_files(stream, vec![PathBuf::from(&**path)])?;
        let is_there = Path::new(&**path).is_file();
        match config.format.or_else(|| Format::of_name(path)) {
            Some(Format::Csv | Format::Excel) if is_there => {
                let source = FileSource::open(config.clone()).map_err(|error| failed(error.into()))?;
                let shapes = record::shapes(&source, &config, &Mapping::default());
                let shape = shapes.map_err(|error| failed(error.into()))?.into_iter().next();
                Ok(shape.map_or(Shape::Json, |(_, shape)| shape))
            }
            Some(Format::Csv | Format::Excel) => {
                Err(Error::ColumnsGone { pipeline: self.name.clone(), path: path.clone() })
            }
            Some(Format::Avro | Format::Parquet | Format::JsonLines | Format::Json) | None => Ok(Shape::Json),
        }
    }
}
